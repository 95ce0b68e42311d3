import type { Knex } from 'knex';
import type { NewAuditRow } from '../../audit/row.ts';
import { bindingKekId } from '../../binding.ts';
import { SecretsError } from '../../errors.ts';
import { checkCondition } from '../conditions.ts';
import { planChange, planCreation, type WriteInput, type WritePlan } from '../plan.ts';
import { edited, verifyBindings } from '../rows.ts';
import { type Audited, activeKek, type Scope } from '../scope.ts';
import { nameTaken, type SavedSecret, savedSecret, write } from '../write.ts';
import { readStateLocked, type SaveRow, type SaveState } from './save-state.ts';

/** A save: what, and under what condition. */
export interface Save {
  readonly name: string;
  readonly input: WriteInput & { readonly plaintext: Buffer };
  readonly ifAbsent: boolean;
  /** 0 for a secret that must not be there. */
  readonly expected: number | undefined;
}

type MakeAuditRow = (audited: Audited) => NewAuditRow;
type Verify = (rows: readonly SaveRow[], destroyed: 'refuse' | 'skip-destroyed') => Promise<void>;

// Against others that save the same name: two tries without a lock, then under one.
const FREE_TRIES = 2;
const LOCKED_TRIES = 3;
// What is larger would fill a batch by itself.
const MAX_SHARED_BYTES = 16_384;

/**
 * Creates a secret, or adds a version to the one of its name, with the audit row, in the caller's transaction or on its
 * own. On PostgreSQL, on its own, these are two statements that other saves may share: one that reads all there is to
 * know, and one that writes if that still holds.
 *
 * @throws SecretsError `ERR_SECRETS_ALREADY_EXISTS`, `ERR_SECRETS_VERSION_CONFLICT`, `ERR_SECRETS_CAS_REQUIRED`,
 * `ERR_SECRETS_EXPIRED`, `ERR_SECRETS_INTEGRITY`
 */
export async function saveSecret(
  scope: Scope,
  trx: Knex.Transaction | undefined,
  save: Save,
  auditRow: MakeAuditRow,
): Promise<SavedSecret> {
  const { connections, tenantId, tables, writer } = scope;
  const shared = writer.available && save.input.plaintext.byteLength <= MAX_SHARED_BYTES;
  if (shared && !connections.raw(trx).isTransaction) {
    for (let tries = 0; tries < FREE_TRIES; tries++) {
      const saved = await attemptFree(scope, save, auditRow);
      if (saved !== undefined) return saved;
    }
  }
  return await connections.write(trx, tenantId, tables, async (inside) => {
    const kek = await activeKek(scope, inside, 'make');
    for (let tries = 0; tries < LOCKED_TRIES; tries++) {
      const state = await readStateLocked(scope, inside, save.name);
      const verify: Verify = (rows, destroyed) => verifyBindings(scope, inside, rows, [kek], destroyed);
      const plan = await planOf(scope, { ...state, key: undefined }, save, kek, verify);
      if (!(await write(scope, inside, plan))) continue;
      await inside(tables.auditLog).insert(auditRow({ secretId: plan.id, version: plan.version }));
      return savedSecret(plan);
    }
    // A snapshot from before another's commit cannot see what is in the way: the transaction has to start over.
    throw new SecretsError('ERR_SECRETS_DATABASE', { context: { tenantId }, retryable: true });
  });
}

/** `undefined` where something changed between the look and the write. */
async function attemptFree(scope: Scope, save: Save, auditRow: MakeAuditRow): Promise<SavedSecret | undefined> {
  const { connections, tenantId, actor, writer, changeFeed } = scope;
  const state = await writer.state({ tenantId, name: save.name });
  if (state.key === undefined) return undefined;
  const db = connections.raw(undefined);
  const kek = await scope.tenantKeys.unwrap(db, state.key);
  const plan = await planOf(scope, state, save, kek, async (rows, destroyed) => {
    const check = (inside: Knex) => verifyBindings(scope, inside, rows, [kek], destroyed);
    const atHand = rows.every(({ binding }) => bindingKekId(binding) === kek.activeKid);
    await (atHand ? check(db) : connections.read(undefined, tenantId, check));
  });
  const audit = auditRow({ secretId: plan.id, version: plan.version });
  const conditional = save.expected !== undefined;
  const written = await writer.save({ tenantId, actor, plan, conditional, audit, recorded: changeFeed !== undefined });
  if (!written) return undefined;
  const { kind, id: secretId, name, version } = plan;
  changeFeed?.recorded(db, { kind, tenantId, secretId, name, version });
  return savedSecret(plan);
}

async function planOf(
  scope: Scope,
  { living, newer, deleted }: SaveState,
  save: Save,
  kek: Parameters<typeof planCreation>[1],
  verify: Verify,
): Promise<WritePlan> {
  if (living === undefined) {
    await verify(deleted, 'skip-destroyed');
    checkCondition(scope, undefined, save.expected);
    return planCreation(scope, kek, save.name, save.input);
  }
  await verify([living], 'refuse');
  if (newer) throw edited(scope, living);
  if (save.ifAbsent) throw nameTaken(scope);
  checkCondition(scope, living, save.expected);
  // What a save sets takes the place of what is there, whatever that is.
  return planChange(scope, kek, living, save.input, () => ({}));
}
