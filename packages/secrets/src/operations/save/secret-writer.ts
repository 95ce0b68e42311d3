import type { Connections } from '../../connections.ts';
import { type PreparedText, prepare, send } from '../../dialects/statement.ts';
import { Coalescer } from '../../internal/coalescer.ts';
import { wasRefused } from '../../internal/statement-error.ts';
import type { Tables } from '../../tables.ts';
import { MAX_DELETED } from '../rows.ts';
import { type SaveState, stateOf } from './save-state.ts';
import { type NewSave, valuesOf, valuesOfOne } from './save-values.ts';

const IN_FLIGHT = 2;

/** A name that somebody is about to save. */
export interface Named {
  readonly tenantId: string;
  readonly name: string;
}

export interface SecretWriterParts {
  readonly connections: Connections;
  readonly tables: Tables;
  /** Whether connections keep prepared statements. */
  readonly preparedStatements: boolean;
}

/** Saves outside of callers' transactions, in two statements, where the database has them. Those that wait go together. */
export class SecretWriter {
  readonly available: boolean;
  readonly #states: Coalescer<Named, SaveState>;
  readonly #saves: Coalescer<NewSave, boolean>;
  readonly #isLockTimeout: (error: unknown) => boolean;

  constructor({ connections, tables, preparedStatements }: SecretWriterParts) {
    const { statements } = connections.dialect;
    const options = { named: preparedStatements, isolated: connections.isolated };
    const state = statements && prepare(statements.saveState(tables, MAX_DELETED), tables, options);
    const many = statements && prepare(statements.save(tables, 'many'), tables, options);
    // Where the database isolates tenants, a function sets the tenant, and there is one for batches only.
    const one = connections.isolated
      ? undefined
      : statements && prepare(statements.save(tables, 'one'), tables, options);
    const { isLockTimeout } = connections.dialect;
    const orderOf = connections.isolated ? ({ tenantId }: { readonly tenantId: string }) => tenantId : undefined;
    this.available = statements !== undefined;
    this.#isLockTimeout = isLockTimeout;
    this.#states = new Coalescer<Named, SaveState>({
      inFlight: IN_FLIGHT,
      orderOf,
      send: (asked) => readStates(connections, state, asked),
      mayRetry: wasRefused,
    });
    this.#saves = new Coalescer<NewSave, boolean>({
      inFlight: IN_FLIGHT,
      orderOf,
      send: (saves) => writeSaves(connections, { one, many }, saves),
      mayRetry: (error) => wasRefused(error) || isLockTimeout(error),
    });
  }

  async state(asked: Named): Promise<SaveState> {
    return await this.#states.run(asked);
  }

  /** Whether it was written: the secret may have been made or changed since it was looked at, or be locked by others. */
  async save(save: NewSave): Promise<boolean> {
    try {
      return await this.#saves.run(save);
    } catch (error) {
      if (this.#isLockTimeout(error)) return false;
      throw error;
    }
  }
}

async function readStates(
  connections: Connections,
  text: PreparedText | undefined,
  asked: readonly Named[],
): Promise<readonly SaveState[]> {
  const values = [asked.map(({ tenantId }) => tenantId), asked.map(({ name }) => name)];
  const rows = await send(connections.raw(undefined), present(text), values);
  return asked.map(({ tenantId, name }, index) =>
    stateOf(
      tenantId,
      name,
      rows.filter(([n]) => Number(n) === index + 1),
    ),
  );
}

async function writeSaves(
  connections: Connections,
  { one, many }: { readonly one: PreparedText | undefined; readonly many: PreparedText | undefined },
  saves: readonly NewSave[],
): Promise<readonly boolean[]> {
  const db = connections.raw(undefined);
  const [first, ...others] = saves;
  if (one !== undefined && first !== undefined && others.length === 0) {
    return [(await send(db, one, valuesOfOne(first))).length > 0];
  }
  // Everybody locks rows in this order.
  const ordered = saves.map((save, index) => ({ save, index })).sort((a, b) => compare(keyOf(a.save), keyOf(b.save)));
  const rows = await send(db, present(many), valuesOf(ordered.map(({ save }) => save)));
  const written = saves.map(() => false);
  for (const [n] of rows) {
    const place = ordered[Number(n) - 1]?.index;
    if (place !== undefined) written[place] = true;
  }
  return written;
}

function keyOf({ tenantId, plan }: NewSave): string {
  return `${tenantId}\0${plan.name}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function present(text: PreparedText | undefined): PreparedText {
  if (text === undefined) throw new TypeError('This database has no statement that saves a secret.');
  return text;
}
