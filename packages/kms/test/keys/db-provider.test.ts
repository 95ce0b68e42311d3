import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { createKmsKeys, createKmsRegistry, type KmsKeys, verifySignature } from '@keywright/kms';
import { describeEachEngine, type TestDatabase } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FileBackend } from '../support/file-backend.ts';
import { registryOf } from '../support/key-fixture.ts';

const DATA = Buffer.from('data to be signed');

describeEachEngine('keys of the db provider', (engine) => {
  let database: TestDatabase;
  let knex: Knex;
  let keys: KmsKeys;
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const outside = new FileBackend();
  beforeAll(async () => {
    database = await engine.createDatabase();
    knex = createKnex(database.knexConfig);
    const { providers } = createKmsRegistry({ knex, root });
    keys = createKmsKeys({ knex, registry: registryOf([...providers, outside.provider('outside')]) });
    await keys.migrate();
  });
  afterAll(async () => {
    outside.remove();
    await knex?.destroy();
    await database?.drop();
  });

  it('are made, agree with their rows, move out with the private key deleted here, and are deleted', async () => {
    const acme = keys.tenant('acme');
    const [stays, moves, goes] = [await acme.create(), await acme.create({ alg: 'ES256' }), await acme.create()];
    expect(stays.providerId).toBe('db');
    expect((await keys.reconcile({ olderThanMs: 0, deleteOrphans: true })).counts).toMatchObject({
      orphans: 0,
      missing: 0,
      cleared: 0,
    });
    expect(await acme.move(moves.keyId, { to: 'outside', import: true })).toMatchObject({ former: 'deleted' });
    await acme.delete(goes.keyId);
    expect(await knex('kms_software_keys').select('external_id')).toEqual([{ external_id: stays.externalId }]);
    for (const key of [stays, moves]) {
      expect(verifySignature('ES256', key.publicJwk, DATA, await acme.sign(key.keyId, DATA))).toBe(true);
    }
    await expect(acme.sign(goes.keyId, DATA)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
  });

  it('are found where a row was lost, and where the key was', async () => {
    const acme = keys.tenant('globex');
    const [lost, gone] = [await acme.create({ keyId: 'lost' }), await acme.create({ keyId: 'gone' })];
    await knex('kms_keys').where({ key_id: 'lost' }).delete();
    await knex('kms_software_keys').where({ external_id: gone.externalId }).delete();
    const { providers } = createKmsRegistry({ knex, root }); // another process
    const report = await createKmsKeys({ knex, registry: registryOf(providers) }).reconcile({ provider: 'db' });
    expect(report.orphans).toMatchObject([{ providerId: 'db', tenantId: 'globex', externalId: lost.externalId }]);
    expect(report.missing).toEqual([{ providerId: 'db', tenantId: 'globex', keyId: 'gone' }]);
  });
});
