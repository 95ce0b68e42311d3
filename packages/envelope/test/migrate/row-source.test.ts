import { type KnexRowSourceOptions, knexRowSource, memoryRowSource, type RowKey } from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll } from 'vitest';
import { type RowSourceHarness, rowSourceConformance } from '../../src/conformance/row-source.ts';
import { type Fixture, openDatabase } from './support.ts';

rowSourceConformance('in memory', async () => {
  const source = memoryRowSource([]);
  const keyOf = (place: number): RowKey => ({ id: place });
  return {
    source,
    keyOf,
    put: async (place, stored) => source.put({ key: keyOf(place), stored }),
    delete: async (place) => source.delete(keyOf(place)),
    read: async (place) => source.rows.find(({ key }) => key.id === place)?.stored,
    close: async () => {},
  };
});

interface Column {
  readonly type: string;
  /** Type and key columns, in their order, and the key of a place. */
  readonly key: Readonly<Record<string, string>>;
  readonly keyOf: (place: number) => RowKey;
  readonly options?: Partial<KnexRowSourceOptions>;
  readonly toStored?: (value: unknown) => unknown;
}

const integer = { key: { id: 'integer' }, keyOf: (place: number) => ({ id: place }) };
const composite = {
  key: { tenant_id: 'varchar(20)', id: 'bigint' },
  keyOf: (place: number) => ({
    tenant_id: place < 12 ? 'acme' : 'globex',
    id: String(9_007_199_254_740_992n + BigInt(place)),
  }),
};

/** A column of a real database behind the harness. */
function columnHarness(database: () => Knex, column: Column): () => Promise<RowSourceHarness> {
  return async () => {
    const knex = database();
    const names = Object.keys(column.key);
    const keys = Object.entries(column.key).map(([name, type]) => `${name} ${type} not null`);
    await knex.raw(
      `create table "odd Table" (${keys.join(', ')}, "odd Column" ${column.type}, primary key (${names.join(', ')}))`,
    );
    const toStored = column.toStored ?? ((value: unknown) => value);
    const where = (place: number): Record<string, unknown> => ({ ...column.keyOf(place) });
    return {
      source: knexRowSource({ knex, table: 'odd Table', column: 'odd Column', key: names, ...column.options }),
      keyOf: column.keyOf,
      put: async (place, stored) => {
        const row = { ...where(place), 'odd Column': stored === null ? null : toStored(stored) };
        await knex('odd Table').insert(row).onConflict(names).merge();
      },
      delete: async (place) => {
        await knex('odd Table').where(where(place)).delete();
      },
      read: async (place) => {
        const row = (await knex('odd Table').where(where(place)).first()) as Record<string, unknown>;
        const stored = row['odd Column'];
        return column.options?.jsonAs === 'object' ? JSON.parse(stored as string) : stored;
      },
      close: async () => {
        await knex.schema.dropTable('odd Table');
      },
    };
  };
}

describeEachEngine('columns', (engine) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await openDatabase(engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });
  const harness = (column: Column) => columnHarness(() => fixture.knex, column);
  const json = (value: unknown): string => JSON.stringify(value);
  rowSourceConformance('of text', harness({ type: 'text', ...integer }));
  rowSourceConformance('of text under two key columns', harness({ type: 'text', ...composite }));
  if (engine.name === 'sqlite') {
    rowSourceConformance('of blobs', harness({ type: 'blob', ...integer }), { values: 'bytes' });
    const parsed = { type: 'json', ...integer, options: { jsonAs: 'object' }, toStored: json } as const;
    rowSourceConformance('of JSON that is parsed', harness(parsed), { values: 'object' });
  } else {
    rowSourceConformance('of bytea', harness({ type: 'bytea', ...integer }), { values: 'bytes' });
    rowSourceConformance('of jsonb', harness({ type: 'jsonb', ...composite, toStored: json }), { values: 'object' });
    rowSourceConformance('of json', harness({ type: 'json', ...integer, toStored: json }), { values: 'object' });
    const uuid = {
      key: { id: 'uuid' },
      keyOf: (place: number) => ({ id: `00000000-0000-7000-8000-${String(place).padStart(12, '0')}` }),
    };
    rowSourceConformance('of varchar under a UUID', harness({ type: 'varchar(500)', ...uuid }));
  }
});
