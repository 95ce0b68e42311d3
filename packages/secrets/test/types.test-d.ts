// Compiled by `pnpm typecheck`: what must not compile is marked, and an unmarked error or an unused mark fails.
import { keyringFromEnv } from '@keywright/envelope';
import { createSecretStore, migrateSecretStore, type Secret, type SecretInfo } from '@keywright/secrets';
import createKnex, { type Knex } from 'knex';

const knex: Knex = createKnex({ client: 'pg' });
const store = createSecretStore({ knex, root: keyringFromEnv() });
const tenant = store.tenant('acme', { actor: 'user:42' });

interface Credentials {
  readonly apiKey: string;
}
const credentials: Credentials = { apiKey: 'sk_test_1' };

export async function uses(trx: Knex.Transaction): Promise<string> {
  createSecretStore({ knex: trx, root: keyringFromEnv() });
  await tenant.save('key', credentials, { metadata: { any: [1] } });
  await tenant.save('key', new Uint8Array(3));
  const secret: Secret = await tenant.get('key');
  switch (secret.type) {
    case 'text':
      return secret.value;
    case 'bytes':
      return secret.value.toString();
    case 'json':
      return JSON.stringify(secret.value);
  }
}

/** Options that are computed and may be undefined, with exactOptionalPropertyTypes. */
export async function optional(trx: Knex.Transaction | undefined, text: string | undefined): Promise<void> {
  createSecretStore({ knex, root: keyringFromEnv(), tables: undefined, auditKnex: undefined, logger: undefined });
  const given = store.tenant('acme', { actor: 'user:42', trx, request: undefined });
  await given.save('key', 'x', { ifAbsent: undefined, metadata: undefined, authType: text });
  await given.get('key', { version: undefined });
  await given.update('key', { value: text, metadata: undefined, authType: undefined });
  await given.list({ limit: undefined, cursor: text });
  await given.save('key', 'x', {
    expectedVersion: 0,
    tags: ['a'],
    description: null,
    expiresAt: null,
    maxVersions: null,
  });
  await given.update({ id: 'x' }, { tags: undefined, casRequired: true }, { expectedVersion: undefined });
  await given.merge('key', credentials);
  String((await given.list({ page: 1, perPage: undefined, tags: undefined })).totalPages);
  String((await given.search('x', { deleted: 'only' })).nextCursor);
  await given.destroy('key', [1, 2]);
  await given.purgeDeleted({ before: undefined });
  await store.migrate({ trx });
  await migrateSecretStore({ knex, trx, tables: { prefix: text, schema: text } });
  await store.rotateRoot({ actor: 'ops', onProgress: undefined, signal: undefined });
  await store.rotateTenant('acme', { actor: 'ops', batchRows: 10, dryRun: true, onProgress: ({ done }) => done });
  String((await store.retireKey('v1', { actor: 'ops' })).tenants.nextCursor);
  String((await store.retireKey({ tenantId: 'acme', keyId: 'x' }, { actor: 'ops' })).versions);
}

export async function refused(info: SecretInfo): Promise<void> {
  // @ts-expect-error a root key is mandatory
  createSecretStore({ knex });
  // @ts-expect-error an actor is mandatory
  store.tenant('acme', {});
  // @ts-expect-error a rotation is somebody's
  await store.rotateRoot();
  // @ts-expect-error what is shredded does not come back: it is confirmed
  await store.shredTenant('acme', { actor: 'ops', backupHorizonDays: 35 });
  // @ts-expect-error a root key is not destroyed here
  await store.destroyKey('v1', { actor: 'ops' });
  // @ts-expect-error a page by its number has no cursor
  await tenant.list({ page: 1, cursor: 'x' });
  // @ts-expect-error a page by cursor has no total
  String((await tenant.list({ limit: 1 })).total);
  // @ts-expect-error an id is not given like a name
  await tenant.rename({ name: 'x' }, 'y');
  // @ts-expect-error undefined is no value
  await tenant.save('key', undefined);
  // @ts-expect-error nothing that lists secrets has values
  String(info.value);
  // @ts-expect-error results are read-only
  info.name = 'x';
}
