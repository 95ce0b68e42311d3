import { mongooseEncryption } from '@keywright/envelope/codecs/mongoose';
import { type ColumnCodecOptions, columnCodec, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { encryptCredentials } from '@keywright/envelope/compat';
import { Mongoose, mongo, Schema, Types } from 'mongoose';
import { describe, expect, it } from 'vitest';
import { thrown } from '../support.ts';
import { CANARY, codeOf, credentials, keyring } from './support.ts';

// There is no server here. What is shown of writes is what Mongoose hands to the driver: documents as BSON, and updates
// after they are cast. Queries that are refused are refused before a connection is asked for.

interface Connection {
  _id: Types.ObjectId;
  name?: string;
  credentials?: unknown;
  secret?: string | null;
  blob?: Uint8Array;
}

function open(options: Partial<ColumnCodecOptions> = {}) {
  const base = { keyring, table: 'connections', ...options };
  const codecs = {
    credentials: columnCodec<unknown>({ ...base, column: 'credentials', storage: 'json' }),
    secret: columnCodec({ ...base, column: 'secret', payload: 'text' }),
    blob: columnCodec({ ...base, column: 'blob', payload: 'bytes' }),
  };
  const plugin = mongooseEncryption({ columns: codecs });
  const schema = new Schema({ name: String, credentials: Schema.Types.Mixed, secret: String, blob: Buffer });
  schema.plugin(plugin);
  return {
    rows: new Mongoose({ bufferCommands: false } as never).model<Connection>('Connection', schema as never),
    codecs,
    plugin,
  };
}

type Stored = Record<string, unknown> & { _id: Types.ObjectId };
/** What the driver would send, and what it gives of that. */
const wire = (document: object): Buffer => Buffer.from(mongo.BSON.serialize(document));
const sent = (document: object): Stored => mongo.BSON.deserialize(wire(document)) as Stored;
interface CastQuery {
  getUpdate(): unknown;
  _castUpdate(update: unknown, overwrite: boolean): unknown;
}
function cast(query: unknown): unknown {
  const { _castUpdate: castUpdate } = query as CastQuery;
  return castUpdate.call(query, (query as CastQuery).getUpdate(), false);
}
/** What a model hands to the driver from now on. */
function sentBy(rows: { readonly collection: object }): () => readonly unknown[] {
  const calls: unknown[] = [];
  const reply = { acknowledged: true, insertedCount: 1, matchedCount: 1, result: {}, getWriteErrors: () => [] };
  for (const method of ['insertOne', 'updateOne', 'replaceOne', 'findOneAndUpdate', 'findOneAndReplace', 'bulkWrite']) {
    Object.assign(rows.collection, {
      [method]: (...args: unknown[]) => {
        calls.push(method === 'bulkWrite' || method === 'insertOne' ? args[0] : args[1]);
        return Promise.resolve(reply);
      },
    });
  }
  return () => calls;
}
const REFUSED = 'ERR_COLUMN_STATEMENT_REFUSED';
const NO_KEY = 'ERR_COLUMN_ROW_KEY_MISSING';

describe('a Mongoose schema plugin', () => {
  it('has ciphertext in the document, and values at its getters', async () => {
    const { rows } = open();
    const row = new rows({ name: 'n', credentials, secret: CANARY, blob: Buffer.from(CANARY) });
    await row.validate();
    expect(wire(row).includes(CANARY)).toBe(false);
    expect(JSON.stringify(row.toObject())).not.toContain(CANARY);
    const stored = sent(row);
    expect(stored).toMatchObject({ name: 'n', credentials: { __enc: 2 }, secret: expect.stringMatching(/^kw2\./) });
    expect([row.credentials, row.secret, Buffer.from(row.blob as Uint8Array).toString()]).toEqual([
      credentials,
      CANARY,
      CANARY,
    ]);
    const read = rows.hydrate(stored);
    expect([read.credentials, read.secret, Buffer.from(read.blob as Uint8Array).toString()]).toEqual([
      credentials,
      CANARY,
      CANARY,
    ]);
    expect(read.toObject({ getters: true })).toMatchObject({ credentials, secret: CANARY });
    read.secret = `${CANARY} changed`;
    await read.validate();
    expect(wire(read).includes(CANARY)).toBe(false);
    expect(rows.hydrate(sent(read)).secret).toBe(`${CANARY} changed`);
  });

  it('keeps null, and what is not there', async () => {
    const { rows } = open();
    const row = new rows({ secret: null });
    await row.validate();
    expect(sent(row)).toEqual({ _id: expect.any(Types.ObjectId), secret: null });
    expect([row.secret, row.credentials]).toEqual([null, undefined]);
  });

  it('binds the id that a document really gets, whenever it gets it', async () => {
    const { rows, codecs } = open();
    const id = new Types.ObjectId();
    for (const row of [
      new rows({ _id: id, secret: CANARY }),
      new rows({ secret: CANARY, _id: String(id).toUpperCase() }),
      new rows({ secret: CANARY }).set({ _id: id }),
    ]) {
      await row.validate();
      expect(row.secret).toBe(CANARY);
      expect(codecs.secret.decode(sent(row).secret, { key: { _id: String(id) } })).toBe(CANARY);
    }
    const schema = new Schema({ _id: String, secret: String });
    schema.plugin(mongooseEncryption({ columns: { secret: codecs.secret } }));
    const named = new Mongoose().model<{ _id: string; secret: string }>('Named', schema as never);
    const row = new named({ secret: CANARY, _id: 'mine' });
    await row.validate();
    expect(codecs.secret.decode(sent(row).secret, { key: { _id: 'mine' } })).toBe(CANARY);
    await expect(new named({ secret: CANARY }).validate()).rejects.toMatchObject({ code: NO_KEY });
  });

  it('refuses swapped rows and what was copied from another path', async () => {
    const { rows, plugin } = open();
    const [a, b] = await Promise.all(
      ['of a', 'of b'].map(async (secret) => {
        const row = new rows({ secret });
        await row.validate();
        return sent(row);
      }),
    );
    expect(thrown(() => rows.hydrate({ ...a, secret: b?.secret }).secret).code).toBe('ERR_ENVELOPE_DECRYPT');
    expect(thrown(() => rows.hydrate({ ...a, credentials: a?.secret }).credentials).code).toBe('ERR_ENVELOPE_DECRYPT');
    expect(thrown(() => rows.hydrate({ secret: a?.secret }).secret).code).toBe(NO_KEY);
    expect(plugin.binds).toBe('row');
  });

  it('encrypts updates for the row that their filter names', () => {
    const { rows, codecs } = open();
    const id = new Types.ObjectId();
    for (const query of [
      rows.updateOne({ _id: id }, { secret: CANARY }),
      rows.updateMany({ _id: { $eq: id } }, { $set: { secret: CANARY } }),
      rows.findOneAndUpdate({ _id: id }, { $set: { secret: CANARY } }),
      rows.findByIdAndUpdate(id, { $set: { secret: CANARY } }),
      rows.replaceOne({ _id: id }, { secret: CANARY }),
    ]) {
      const { $set } = cast(query) as { $set: Stored };
      expect(codecs.secret.decode($set.secret, { key: { _id: String(id) } })).toBe(CANARY);
    }
  });

  it.each(['row', 'column'] as const)(
    'encrypts what is sent without a cast of its own, bound to the %s',
    async (binds) => {
      const { rows, codecs } = open({ binds });
      const native = sentBy(rows);
      const id = new Types.ObjectId();
      const key = { _id: String(id) };
      const saved = rows.hydrate({ _id: id, secret: codecs.secret.encode('old', { key }) });
      saved.secret = CANARY;
      const filter = { _id: String(id).toUpperCase() };
      const given = { secret: CANARY };
      await rows.replaceOne({ _id: id }, given);
      await rows.replaceOne(filter, given);
      await rows.findOneAndReplace(filter, given);
      await rows.findOneAndUpdate(filter, given);
      await rows.updateOne(filter, given);
      await rows.bulkSave([saved, new rows({ _id: id, secret: CANARY })]);
      await rows.bulkWrite([{ insertOne: { document: { _id: id, secret: CANARY } } }]);
      expect(given).toMatchObject({ secret: CANARY });
      expect(given).not.toHaveProperty('_id');
      const secrets = native().flatMap((argument) => JSON.stringify(sent({ argument })).match(/kw2\.[\w.-]+/g) ?? []);
      expect(secrets).toHaveLength(8);
      expect(secrets.map((secret) => codecs.secret.decode(secret, { key }))).toEqual(secrets.map(() => CANARY));
    },
  );

  it.each(['row', 'column'] as const)('is not encrypted twice, bound to the %s', async (binds) => {
    const { rows } = open({ binds });
    const native = sentBy(rows);
    const id = new Types.ObjectId();
    const row = new rows({ _id: id, secret: CANARY, credentials });
    const stored = row.toObject();
    for (const work of [
      () => rows.updateOne({ _id: id }, { secret: stored.secret }),
      () => rows.updateOne({ _id: id }, { credentials: stored.credentials }),
      () => rows.replaceOne({ _id: id }, stored),
      () => new rows(stored).validate(),
      () => new rows(row).validate(),
      () => rows.hydrate({ _id: id }).set(stored).save(),
    ]) {
      expect(await codeOf(work), String(work)).toBe(REFUSED);
    }
    expect(native()).toEqual([]);
  });

  it('refuses updates where another path has taken the place of one that encrypts', async () => {
    const { rows } = open();
    const native = sentBy(rows);
    const child = rows.discriminator('Child', new Schema({ secret: String }));
    Object.assign(child, { collection: rows.collection });
    const id = new Types.ObjectId();
    expect(await codeOf(() => child.updateOne({ _id: id }, { secret: CANARY }))).toBe(REFUSED);
    const update = { filter: { _id: id }, update: { $set: { name: 'x', secret: CANARY } } };
    expect(await codeOf(() => child.bulkWrite([{ updateOne: update }]))).toBe(REFUSED);
    expect(await codeOf(() => new child({ _id: id, secret: CANARY }).save())).toBe(REFUSED);
    expect(native()).toEqual([]);
  });

  it('refuses queries that it cannot follow, before they are sent', async () => {
    const { rows } = open();
    const id = new Types.ObjectId();
    for (const query of [
      () => rows.find({ secret: CANARY }),
      () => rows.findOne({ $or: [{ name: 'x' }, { secret: { $in: [CANARY] } }] }),
      () => rows.countDocuments({ 'credentials.apiKey': CANARY }),
      () => rows.find({ $expr: { $eq: ['$secret', CANARY] } }),
      () => rows.distinct('secret'),
      () => rows.find().sort('-secret'),
      () => rows.find().sort({ 'credentials.apiKey': 1 }),
      () => rows.updateOne({ _id: id }, [{ $replaceWith: { $mergeObjects: ['$draft'] } }], { updatePipeline: true }),
      () => rows.deleteMany({ secret: CANARY }),
      () => rows.updateOne({ _id: id, secret: CANARY }, { name: 'x' }),
      () => rows.updateOne({ _id: id }, [{ $set: { secret: CANARY } }], { updatePipeline: true }),
      () => rows.updateOne({ _id: id }, { $set: { 'credentials.apiKey': CANARY } }),
      () => rows.updateOne({ _id: id }, { $rename: { name: 'secret' } }),
      () => rows.updateOne({ _id: id }, { $push: { credentials: CANARY } }),
      () => rows.bulkWrite([{ updateOne: { filter: { secret: CANARY }, update: { name: 'x' } } }]),
      () => rows.insertMany([{ name: 'x' }, { secret: CANARY }], { lean: true }),
    ]) {
      expect(await codeOf(query), String(query)).toBe(REFUSED);
    }
    for (const query of [
      () => rows.updateMany({}, { secret: CANARY }),
      () => rows.updateOne({ _id: { $in: [id] } }, { $set: { secret: CANARY } }),
      () => rows.findOneAndReplace({ name: 'x' }, { secret: CANARY }),
      () => rows.bulkWrite([{ updateOne: { filter: { _id: id }, update: { secret: CANARY } } }]),
    ]) {
      const error = await Promise.resolve(query()).then(
        () => undefined,
        (reason: Error & { code?: string }) => reason,
      );
      expect(error?.code === NO_KEY || error?.code === 'ERR_COLUMN_ROW_KEY_INVALID', String(query)).toBe(true);
      expect(String(error)).not.toContain(CANARY);
    }
    // What is let through asks for the connection that there is none of.
    const allowed = rows.find({ secret: null, credentials: { $exists: true } });
    await expect(allowed.exec()).rejects.toThrow('before initial connection');
    await expect(rows.insertMany([{ secret: CANARY }])).rejects.toThrow('before initial connection');
    await expect(rows.insertMany({ name: 'x' }, { lean: true })).rejects.toThrow('before initial connection');
  });

  it('rejects at validation what could not be encrypted, without quoting it', async () => {
    const { rows } = open({ tenant: tenantFromContext });
    const row = new rows({ secret: CANARY });
    const error = await row.validate().then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error).toMatchObject({ code: 'ERR_COLUMN_TENANT_MISSING' });
    expect(String(error) + error?.stack).not.toContain(CANARY);
    expect(wire(row).includes(CANARY)).toBe(false);
    withContext({ tenant: 'acme' }, () => row.set('secret', CANARY));
    await withContext({ tenant: 'acme' }, () => row.validate());
    const [wrong, right] = ['globex', 'acme'].map(
      (tenant) => () => withContext({ tenant }, () => rows.hydrate(sent(row)).secret),
    );
    expect(right?.()).toBe(CANARY);
    expect(thrown(wrong as () => unknown).code).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('reads old plaintext and version 1 only where that is allowed', async () => {
    const [strict, mixed] = [open(), open({ legacy: 'allow', v1: 'allow', write: 'plaintext' })];
    const id = new Types.ObjectId();
    const [plain, v1] = [
      { _id: id, credentials },
      { _id: id, credentials: encryptCredentials(credentials, keyring) },
    ];
    expect(thrown(() => strict.rows.hydrate(plain).credentials).code).toBe('ERR_COLUMN_PLAINTEXT_REFUSED');
    expect(thrown(() => strict.rows.hydrate(v1).credentials).code).toBe('ERR_COLUMN_V1_REFUSED');
    expect(mixed.rows.hydrate(plain).credentials).toEqual(credentials);
    expect(mixed.rows.hydrate(v1).credentials).toEqual(credentials);
    const old = new mixed.rows({ _id: id, credentials });
    await old.validate();
    expect(sent(old).credentials).toEqual(credentials);
    const row = strict.rows.hydrate({ _id: id, secret: 'x' });
    row.markModified('secret');
    await expect(row.validate()).rejects.toMatchObject({ code: REFUSED });
  });

  it('that binds the column needs no key', () => {
    const { rows, codecs, plugin } = open({ binds: 'column' });
    const { $set } = cast(rows.updateMany({}, { secret: CANARY })) as { $set: Stored };
    expect(codecs.secret.decode($set.secret)).toBe(CANARY);
    expect(plugin.binds).toBe('column');
  });

  it.each<[string, Schema]>([
    ['lacks the path', new Schema({ name: String })],
    ['has a default for it', new Schema({ secret: { type: String, default: 'x' } })],
    ['has a setter for it', new Schema({ secret: { type: String, trim: true } })],
    ['has a getter for it', new Schema({ secret: { type: String, get: (value: string) => value } })],
    ['has a validator for it', new Schema({ secret: { type: String, maxlength: 10 } })],
  ] as never)('is refused by a schema that %s', (_what, schema) => {
    const plugin = mongooseEncryption({ columns: { secret: open().codecs.secret } });
    expect(thrown(() => schema.plugin(plugin)).code).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });
});
