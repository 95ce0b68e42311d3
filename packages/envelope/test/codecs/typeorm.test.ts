import { typeormTransformer } from '@keywright/envelope/codecs/typeorm';
import { type ColumnCodecOptions, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { DataSource, EntitySchema, IsNull, Not, type Repository } from 'typeorm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { thrown } from '../support.ts';
import { CANARY, type Credentials, codeOf, credentials, credentialsCodec, notesCodec, Raw, V1 } from './support.ts';

interface Connection {
  id: string;
  tenant?: string | null;
  name?: string | null;
  credentials?: Credentials | null;
  notes?: string | null;
}

async function open(options: Partial<ColumnCodecOptions> = {}): Promise<{ raw: Raw; rows: Repository<Connection> }> {
  const raw = new Raw();
  const bound = { binds: 'column', ...options } as const;
  const entity = new EntitySchema<Connection>({
    name: 'connections',
    columns: {
      id: { type: 'varchar', primary: true },
      tenant: { type: 'text', nullable: true },
      name: { type: 'text', nullable: true },
      credentials: { type: 'text', nullable: true, transformer: typeormTransformer(credentialsCodec(bound)) },
      notes: { type: 'text', nullable: true, transformer: typeormTransformer(notesCodec(bound)) },
    },
  });
  const source = await new DataSource({ type: 'better-sqlite3', database: raw.file, entities: [entity] }).initialize();
  onTestFinished(() => source.destroy());
  return { raw, rows: source.getRepository(entity) };
}

describe('a TypeORM transformer', () => {
  it('encrypts on save and update, decrypts on find', async () => {
    const { raw, rows } = await open();
    await rows.save({ id: 'a', credentials, notes: CANARY });
    await rows.insert({ id: 'b', credentials: null, notes: '' });
    expect(raw.row('a')).toMatchObject({ credentials: expect.stringMatching(/^kw2\.A256GCM\.v1\./) });
    raw.expectNoCanary();
    expect(await rows.findOneByOrFail({ id: 'a' })).toMatchObject({ credentials, notes: CANARY });
    expect(raw.row('b').credentials).toBeNull();
    expect(await rows.findOneByOrFail({ id: 'b' })).toMatchObject({ credentials: null, notes: '' });
    await rows.update({ id: 'a' }, { credentials: { apiKey: `${CANARY} changed` } });
    await rows
      .createQueryBuilder()
      .update()
      .set({ notes: `${CANARY} too` })
      .where({ id: 'b' })
      .execute();
    raw.expectNoCanary();
    expect((await rows.findOneByOrFail({ id: 'a' })).credentials).toEqual({ apiKey: `${CANARY} changed` });
    expect((await rows.findOneByOrFail({ id: 'b' })).notes).toBe(`${CANARY} too`);
    expect(await rows.createQueryBuilder('c').select(['c.id', 'c.notes']).where({ id: 'b' }).getOne()).toEqual({
      id: 'b',
      notes: `${CANARY} too`,
    });
  });

  it('writes the column again on every save of a loaded entity, because ciphertexts differ', async () => {
    const { raw, rows } = await open();
    await rows.save({ id: 'a', name: 'old', credentials });
    const before = raw.row('a').credentials;
    await rows.save({ ...(await rows.findOneByOrFail({ id: 'a' })), name: 'new' });
    expect(raw.row('a').credentials).not.toBe(before);
    expect(await rows.findOneByOrFail({ id: 'a' })).toMatchObject({ name: 'new', credentials });
  });

  it('is not asked about SQL in place of a value, nor about conditions, as its documentation says', async () => {
    const { rows } = await open();
    await rows.save({ id: 'a', notes: CANARY });
    expect(await rows.countBy({ notes: CANARY })).toBe(0);
    expect(await rows.countBy({ notes: Not(CANARY) })).toBe(1);
    expect(await rows.countBy({ notes: Not(IsNull()) })).toBe(1);
    await rows.update({ id: 'a' }, { notes: () => "'clear'" } as never);
    expect(await codeOf(() => rows.find())).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
  });

  it('does not see that two rows were swapped', async () => {
    const { raw, rows } = await open();
    await rows.insert([
      { id: 'a', notes: 'of a' },
      { id: 'b', notes: 'of b' },
    ]);
    raw.swap('notes', 'a', 'b');
    expect((await rows.findOneByOrFail({ id: 'a' })).notes).toBe('of b');
    expect(typeormTransformer(notesCodec({ binds: 'column' })).binds).toBe('column');
  });

  it('refuses what was copied from another column', async () => {
    const { raw, rows } = await open();
    await rows.insert({ id: 'a', notes: '{}' });
    raw.run('UPDATE connections SET credentials = notes');
    expect(await codeOf(() => rows.find())).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('reads for the tenant of the request only', async () => {
    const { rows } = await open({ tenant: tenantFromContext });
    const as = <T>(tenant: string, work: () => T): T => withContext({ tenant }, work);
    await as('acme', () => rows.insert({ id: 'a', credentials }));
    expect(await as('acme', () => rows.find())).toMatchObject([{ credentials }]);
    expect(await codeOf(() => as('globex', () => rows.find()))).toBe('ERR_ENVELOPE_DECRYPT');
    expect(await codeOf(() => rows.find())).toBe('ERR_COLUMN_TENANT_MISSING');
    expect(await codeOf(() => rows.insert({ id: 'b', credentials }))).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const strict = await open();
    strict.raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
    expect(await codeOf(() => strict.rows.find())).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    strict.raw.run('UPDATE connections SET credentials = ?', V1);
    expect(await codeOf(() => strict.rows.find())).toBe('ERR_COLUMN_V1_REFUSED');
    let legacy = 0;
    const mixed = await open({ legacy: 'allow', v1: 'allow', onLegacy: () => void legacy++ });
    mixed.raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'a', JSON.stringify(credentials));
    mixed.raw.run('INSERT INTO connections (id, credentials) VALUES (?, ?)', 'b', V1);
    await mixed.rows.insert({ id: 'c', credentials });
    expect((await mixed.rows.find()).map((row) => row.credentials)).toEqual([credentials, credentials, credentials]);
    expect(legacy).toBe(1);
  });

  it('is not made of a codec that binds the row', () => {
    expect(thrown(() => typeormTransformer(credentialsCodec())).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
    expect(thrown(() => typeormTransformer(undefined as never)).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });
});
