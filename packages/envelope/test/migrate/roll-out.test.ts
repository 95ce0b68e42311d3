import { createKeyring } from '@keywright/envelope';
import { type ColumnCodecOptions, columnCodec } from '@keywright/envelope/columns';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { backfill, finalise, type Target } from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createConnections, type Fixture, KEYS, keyringOf, openDatabase, sourceOf } from './support.ts';

type Value = Readonly<Record<string, string>>;

/** A release of the application that reads and writes the column. */
interface Service {
  encode(id: number, value: Value): string;
  decode(id: number, stored: string): unknown;
}

function withCodec(options: Partial<ColumnCodecOptions>): Service {
  const codec = columnCodec<Value>({ keyring: keyringOf(), table: 'connections', column: 'credentials', ...options });
  return {
    encode: (id, value) => codec.encode(value, { key: { id } }) as string,
    decode: (id, stored) => codec.decode(stored, { key: { id } }),
  };
}

/** Of before: knows of no envelope. */
const PLAIN: Service = { encode: (_id, value) => JSON.stringify(value), decode: (_id, stored) => JSON.parse(stored) };
/** Of before: version 1 and nothing else. */
const VERSION_1: Service = {
  encode: (_id, value) => JSON.stringify(encryptCredentials(value, keyringOf())),
  decode: (_id, stored) => decryptCredentials(JSON.parse(stored), keyringOf()),
};
const ONE_KEY = createKeyring({ keys: { v1: KEYS.v1 as string }, activeKid: 'v1' });
const OTHER_KEY = createKeyring({ keys: { v2: KEYS.v2 as string }, activeKid: 'v2' });

interface RollOut {
  readonly name: string;
  readonly from: Target;
  /** Releases in their order. The second but last writes the new kind; the last reads nothing else. */
  readonly stages: readonly [Service, Service, Service, Service];
  /** How the backfill reads and writes. */
  readonly converting: Partial<ColumnCodecOptions>;
}

const ROLL_OUTS: readonly RollOut[] = [
  {
    name: 'from plaintext to version 2',
    from: { plaintext: true },
    stages: [PLAIN, withCodec({ write: 'plaintext', legacy: 'allow' }), withCodec({ legacy: 'allow' }), withCodec({})],
    converting: { legacy: 'allow' },
  },
  {
    name: 'from version 1 to version 2',
    from: { version: 1 },
    stages: [VERSION_1, withCodec({ write: 'v1', v1: 'allow' }), withCodec({ v1: 'allow' }), withCodec({})],
    converting: { v1: 'allow' },
  },
  {
    name: 'from one key to another',
    from: { kid: 'v1' },
    stages: [
      withCodec({ keyring: ONE_KEY }),
      withCodec({ keyring: keyringOf('v1') }),
      withCodec({ keyring: keyringOf('v2') }),
      withCodec({ keyring: OTHER_KEY }),
    ],
    converting: { keyring: keyringOf('v2') },
  },
];

describeEachEngine('a fleet of mixed releases', (engine) => {
  let fixture: Fixture;
  let fleet: Fleet;
  beforeEach(async () => {
    fixture = await openDatabase(engine);
    await createConnections(fixture.knex, 0);
    fleet = new Fleet(fixture.knex);
  });
  afterEach(async () => {
    await fixture?.close();
  });

  it.each(ROLL_OUTS)('goes $name without one wrong read', async ({ from, stages, converting }) => {
    const [before, reads, writes, after] = stages;
    const codec = columnCodec<Value>({
      keyring: keyringOf(),
      table: 'connections',
      column: 'credentials',
      ...converting,
    });
    const source = sourceOf(fixture.knex);
    const convert = async () => await backfill({ codec, source, from, batchRows: 40 });

    for (const pair of [
      [before, before],
      [before, reads],
      [reads, reads],
    ] as const)
      await fleet.mix(...pair);
    await fleet.mix(reads, writes);
    // Some still write the old kind: a backfill may run already, it just cannot be the last one.
    expect(await convert()).toMatchObject({ failed: 0, changed: 0 });
    await fleet.mix(reads, writes);
    await expect(finalise({ codec, source, from })).rejects.toMatchObject({ code: 'ERR_COLUMN_NOT_FINAL' });
    await fleet.mix(writes, writes);

    const [last] = await Promise.all([convert(), fleet.mix(writes, writes)]);
    expect(last.failed).toBe(0);
    await convert();
    const { constraint, census } = await finalise({ codec, source, from });
    expect(census.rows).toBe(fleet.rows);
    for (const sql of [...(constraint?.add ?? []), ...(constraint?.validate ?? [])]) {
      const offending = (await fixture.knex.raw(sql)) as unknown;
      if (Array.isArray(offending)) expect(offending).toEqual([]);
    }
    await fleet.mix(writes, after);
    await fleet.mix(after, after);
    // A process of before that was forgotten cannot undo it.
    expect(constraint?.add.length).toBeGreaterThan(0);
    await expect(fleet.write(reads, 1, { value: 'late' })).rejects.toThrow();
    await fleet.readAll(after);
  });

  it.each(ROLL_OUTS)('would go wrong $name if the release that only reads were left out', async ({ stages }) => {
    const [before, , writes] = stages;
    await expect(fleet.mix(before, writes)).rejects.toThrow();
  });
});

type Step = 'a writes' | 'b writes' | 'a reads' | 'b reads';

/** Services on one table, and what each of its rows must be read as. */
class Fleet {
  readonly #knex: Knex;
  readonly #expected = new Map<number, Value>();

  constructor(knex: Knex) {
    this.#knex = knex;
  }

  get rows(): number {
    return this.#expected.size;
  }

  /** Two releases do everything in every order, each order on a row of its own; then both read all rows there are. */
  async mix(a: Service, b: Service): Promise<void> {
    const steps: Step[] = ['a writes', 'b writes', 'a reads', 'b reads'];
    for (const order of permutations(steps)) {
      const id = this.#expected.size + 1;
      await this.write(order.indexOf('a writes') < order.indexOf('b writes') ? a : b, id, { value: `${id} first` });
      for (const [index, step] of order.entries()) {
        const service = step.startsWith('a') ? a : b;
        if (step.endsWith('writes')) await this.write(service, id, { value: `${id} by step ${index}` });
        else await this.read(service, id);
      }
    }
    await this.readAll(a);
    await this.readAll(b);
  }

  async write(service: Service, id: number, value: Value): Promise<void> {
    const row = { id, credentials: service.encode(id, value) };
    await this.#knex('connections').insert(row).onConflict('id').merge();
    this.#expected.set(id, value);
  }

  async read(service: Service, id: number): Promise<void> {
    const row = (await this.#knex('connections').where({ id }).first()) as { credentials: string };
    expect(service.decode(id, row.credentials)).toEqual(this.#expected.get(id));
  }

  async readAll(service: Service): Promise<void> {
    const rows = (await this.#knex('connections')) as { id: number; credentials: string }[];
    expect(rows).toHaveLength(this.#expected.size);
    for (const { id, credentials } of rows) {
      expect(service.decode(id, credentials)).toEqual(this.#expected.get(id));
    }
  }
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item].concat(rest)));
}
