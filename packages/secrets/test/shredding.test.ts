import { generateKeyPairSync, verify } from 'node:crypto';
import type { KeyWrapper } from '@keywright/envelope';
import type { SecretStore, ShredTenantOptions } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openNote, parseVerifierKey } from '../src/audit/note.ts';
import { createEd25519Signer, verifierKey } from '../src/audit/signer.ts';
import { auditRows, type Fixture, openFixture, rejection, wrapperOf } from './support.ts';

const ACTOR = { actor: 'operator' } as const;
const SHRED: ShredTenantOptions = { ...ACTOR, confirm: 'acme', backupHorizonDays: 35 };
const DAY_MS = 86_400_000;

describeEachEngine('shredding a tenant', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let store: SecretStore;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    ({ knex, store } = fixture);
    await fixture.tenant('acme').save('a', 'one');
    await fixture.tenant('acme').save('a', 'two');
    await fixture.tenant('globex').save('a', 'other');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it('makes everything unreadable at once, here and in a process that has the key in memory', async () => {
    const other = fixture.reopen(fixture.root).tenant('acme', ACTOR);
    await other.get('a');
    await store.rotateTenant('acme', ACTOR);
    await store.shredTenant('acme', SHRED);
    for (const acme of [fixture.tenant('acme'), other, fixture.reopen(fixture.root).tenant('acme', ACTOR)]) {
      expect(await rejection(acme.get('a'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
      expect(await rejection(acme.get('a', { version: 1 }))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    }
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'acme' }).select('status', 'wrapped')).toEqual([
      { status: 'destroyed', wrapped: null },
      { status: 'destroyed', wrapped: null },
    ]);
    expect((await fixture.tenant('globex').get('a')).value).toBe('other');
  });

  it('is for good: nothing gives the tenant another key', async () => {
    await store.shredTenant('acme', SHRED);
    const attempts = [
      () => fixture.tenant('acme').save('new', 'x'),
      () => fixture.reopen(fixture.root).tenant('acme', ACTOR).save('a', 'x'),
      () => knex.transaction((trx) => fixture.tenant('acme', trx).save('new', 'x')),
      () => store.rotateTenant('acme', ACTOR),
      () => store.reencryptTenant('acme', ACTOR),
    ];
    for (const attempt of attempts) {
      expect(await rejection(attempt())).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    }
    const [key] = (await store.shredTenant('acme', SHRED)).keys;
    const name = { tenantId: 'acme', keyId: key?.id ?? '' };
    expect(await rejection(store.enableKey(name, ACTOR))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
  });

  it('is for good for a process too that was about to make the first key of the tenant', async () => {
    const { root } = fixture;
    let late = true;
    const wrapKey: KeyWrapper['wrapKey'] = async (key, options) => {
      if (late) {
        late = false;
        await fixture.tenant('initech').save('a', 'x');
        await store.shredTenant('initech', { ...SHRED, confirm: 'initech' });
      }
      return await root.wrapKey(key, options);
    };
    const slow = fixture.reopen(wrapperOf(root, { wrapKey })).tenant('initech', ACTOR);
    expect(await rejection(slow.save('b', 'x'))).toMatchObject({ code: 'ERR_SECRETS_KEY_UNAVAILABLE' });
    expect(await knex('secret_tenant_keys').where({ tenant_id: 'initech' }).select('status')).toEqual([
      { status: 'destroyed' },
    ]);
  });

  it('gives a receipt that says what was destroyed, when, by whom, and what it does not reach', async () => {
    const [key] = await knex('secret_tenant_keys').where({ tenant_id: 'acme' });
    const before = Date.now();
    const receipt = await store.shredTenant('acme', SHRED);
    expect(receipt).toMatchObject({
      tenantId: 'acme',
      actor: 'operator',
      keys: [{ id: key.kek_id, rootKey: 'v1' }],
      secrets: 1,
      versions: 2,
      backupHorizonDays: 35,
      signedBy: null,
    });
    const destroyedAt = Date.parse(receipt.keys[0]?.destroyedAt ?? '');
    expect(destroyedAt).toBeGreaterThanOrEqual(before);
    expect(Date.parse(receipt.recoverableFromBackupsUntil)).toBe(destroyedAt + 35 * DAY_MS);
    expect(receipt.outside.join()).toMatch(/VACUUM.*backups.*KMS.*key chains/s);
    expect(receipt.remaining.join()).toMatch(/names.*metadata/s);
    const [title, json = ''] = receipt.note.split('\n');
    expect(title).toBe('Keywright shred receipt v1');
    expect({ ...JSON.parse(json), note: receipt.note, signedBy: null }).toEqual(receipt);
    const again = await store.shredTenant('acme', { ...SHRED, actor: 'somebody else' });
    expect(again).toMatchObject({ keys: receipt.keys, actor: 'somebody else', versions: 2 });
    expect(again.recoverableFromBackupsUntil).toBe(receipt.recoverableFromBackupsUntil);
  });

  it('signs the receipt with the signer of the audit log', async () => {
    const pair = generateKeyPairSync('ed25519');
    const signer = createEd25519Signer({ name: 'example.com/audit', privateKey: pair.privateKey });
    const receipt = await fixture.reopen(fixture.root, { audit: { signer } }).shredTenant('acme', SHRED);
    expect(receipt.signedBy).toBe('example.com/audit');
    const text = receipt.note.slice(0, receipt.note.lastIndexOf('\n\n') + 1);
    const signature = Buffer.from(receipt.note.trimEnd().split(' ').at(-1) ?? '', 'base64').subarray(4);
    expect(verify(null, Buffer.from(text), pair.publicKey, signature)).toBe(true);
    const keys = [parseVerifierKey(verifierKey(signer), 'key')];
    expect(openNote(receipt.note, keys)).toMatchObject({ valid: true });
    expect(openNote(receipt.note.replace('"versions":2', '"versions":9'), keys)).toMatchObject({ valid: false });
  });

  it('is audited in the log of the tenant and in that of the store', async () => {
    await store.shredTenant('acme', SHRED);
    for (const tenantId of ['acme', '$system']) {
      const row = (await auditRows(knex, tenantId)).at(-1);
      expect(row).toMatchObject({ action: 'tenant.shred', actor: 'operator', outcome: 'success' });
      expect(JSON.parse(row?.context ?? '')).toMatchObject({ keys: 1, secrets: 1, versions: 2 });
    }
  });

  it.each([
    ['another confirmation', { ...SHRED, confirm: 'globex' }],
    ['no confirmation', { ...ACTOR, backupHorizonDays: 1 } as never],
    ['a negative horizon', { ...SHRED, backupHorizonDays: -1 }],
    ['no horizon', { ...ACTOR, confirm: 'acme' } as never],
    ['no actor', { confirm: 'acme', backupHorizonDays: 1 } as never],
    ['nothing at all', undefined as never],
  ])('is refused with %s, and destroys nothing', async (_what, options) => {
    const error = await rejection(store.shredTenant('acme', options));
    expect(error).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('a')).value).toBe('two');
  });

  it('is refused for a tenant without keys, and for the store itself', async () => {
    const options = { ...SHRED, confirm: 'nobody' };
    expect(await rejection(store.shredTenant('nobody', options))).toMatchObject({ code: 'ERR_SECRETS_NOT_FOUND' });
    const system = { ...SHRED, confirm: '$system' };
    expect(await rejection(store.shredTenant('$system', system))).toMatchObject({
      code: 'ERR_SECRETS_INVALID_ARGUMENT',
    });
  });

  if (engine.name === 'postgres') {
    it('waits for a transaction that writes for the tenant, and shreds what it wrote too', async () => {
      const written = Promise.withResolvers<void>();
      const commit = Promise.withResolvers<void>();
      const open = knex.transaction(async (trx) => {
        await fixture.tenant('acme', trx).save('late', 'x');
        written.resolve();
        await commit.promise;
      });
      await written.promise;
      const shredding = store.shredTenant('acme', SHRED);
      await Promise.race([shredding, new Promise((resolve) => setTimeout(resolve, 200))]);
      commit.resolve();
      await open;
      expect(await shredding).toMatchObject({ secrets: 2, versions: 3 });
    });
  }
});
