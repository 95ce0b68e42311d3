import { isDeepStrictEqual } from 'node:util';
import { createKeyring, generateKeyBase64, isKeywrightError, type Keyring } from '@keywright/envelope';
import { createSecretStore, type SecretStore } from '@keywright/secrets';
import type { Knex } from 'knex';
import { secretStrings, type TenantCredentials } from './credentials.ts';
import type { DemoDatabase } from './database.ts';
import { findPlaintext } from './plaintext.ts';
import type { Report } from './report.ts';

const ACTOR = { actor: 'demo' } as const;
const SHOWN_AUDIT_ROWS = 20;

/** What the demo did, for its test. */
export interface DemoResult {
  readonly stored: number;
  readonly refusals: readonly string[];
  readonly rotated: number;
  readonly auditRows: number;
}

/** Stores the tenants' credentials and proves what the README says of them, step by step. */
export async function runDemo(
  database: DemoDatabase,
  tenants: readonly TenantCredentials[],
  report: Report,
): Promise<DemoResult> {
  const [first, second] = tenants;
  if (first === undefined || second === undefined) throw new Error('The demo needs two tenants.');
  const { knex } = database;
  report.title('Keywright quickstart', database.title);

  const v1 = generateKeyBase64();
  const root = createKeyring({ keys: { v1 }, activeKid: 'v1' });
  const store = createSecretStore({ knex, root });
  const { applied } = await store.migrate();
  report.step('The store made its tables in the database we already have', applied.length > 0, applied.join(', '));

  const stored = await storeAll(store, tenants, report);
  await showCiphertext(database, tenants, report);
  report.step('Both tenants read back exactly what they gave', await readsBack(store, tenants), `${stored} secrets`);

  const refusals = [
    await otherTenantIsRefused(store, first, second, report),
    await copiedRowIsRefused(knex, store, first, second, report),
    await wrongRootIsRefused(knex, report),
  ];

  const rotated = await rotateRoot(knex, root, tenants, report);
  const auditRows = await showAudit(store, [first, second], report);
  await store.close();
  report.end('Every claim above was checked in code.');
  return { stored, refusals, rotated, auditRows };
}

async function storeAll(store: SecretStore, tenants: readonly TenantCredentials[], report: Report): Promise<number> {
  let stored = 0;
  for (const { tenant, files, values } of tenants) {
    const secrets = store.tenant(tenant, ACTOR);
    for (const [name, value] of values) await secrets.save(name, value, { ifAbsent: true });
    const { items } = await secrets.list();
    report.step(`${tenant}: ${values.size} secrets stored`, items.length === values.size, files.join(', '));
    stored += items.length;
  }
  return stored;
}

async function showCiphertext(
  database: DemoDatabase,
  tenants: readonly TenantCredentials[],
  report: Report,
): Promise<void> {
  const secrets = tenants.flatMap(({ values }) => [...values.values()].flatMap(secretStrings));
  const found = await findPlaintext(database, secrets);
  report.step('None of the credentials is in the database in the clear', found.length === 0, found.join(', '));
  const rows = (await database
    .knex({ s: 'secrets' })
    .join({ v: 'secret_versions' }, { 'v.tenant_id': 's.tenant_id', 'v.secret_id': 's.id' })
    .orderBy(['s.tenant_id', 's.name'])
    .select('s.tenant_id', 's.name', 'v.version', 'v.ciphertext')) as readonly {
    tenant_id: string;
    name: string;
    version: number;
    ciphertext: Buffer;
  }[];
  for (const { tenant_id, name, version, ciphertext } of rows) {
    const hex = ciphertext.toString('hex');
    report.show(`${tenant_id.padEnd(8)} ${name.padEnd(24)} v${version}  ${hex.slice(0, 24)}…${hex.slice(-16)}`);
  }
}

async function readsBack(store: SecretStore, tenants: readonly TenantCredentials[]): Promise<boolean> {
  for (const { tenant, values } of tenants) {
    const secrets = store.tenant(tenant, ACTOR);
    for (const [name, value] of values) {
      if (!isDeepStrictEqual((await secrets.get(name)).value, value)) return false;
    }
  }
  return true;
}

async function otherTenantIsRefused(
  store: SecretStore,
  owner: TenantCredentials,
  other: TenantCredentials,
  report: Report,
): Promise<string> {
  const name = [...owner.values.keys()].find((key) => !other.values.has(key));
  if (name === undefined) throw new Error(`${owner.tenant} needs a credential that ${other.tenant} has not.`);
  const code = await refusal(() => store.tenant(other.tenant, ACTOR).get(name));
  report.step(
    `${other.tenant} asking for ${owner.tenant}'s ${name} is refused`,
    code === 'ERR_SECRETS_NOT_FOUND',
    code,
  );
  return code;
}

/** What someone with the database, but not the key, would try: give one tenant the other's encrypted row. */
async function copiedRowIsRefused(
  knex: Knex,
  store: SecretStore,
  from: TenantCredentials,
  to: TenantCredentials,
  report: Report,
): Promise<string> {
  const name = [...to.values.keys()].find((key) => from.values.has(key)) ?? '';
  if (name === '') throw new Error(`${from.tenant} and ${to.tenant} need a credential of the same name.`);
  const source = await currentVersion(knex, from.tenant, name);
  const target = await currentVersion(knex, to.tenant, name);
  const row = { tenant_id: to.tenant, secret_id: target.secret_id, version: target.version };
  const put = async ({ wrapped_dek, ciphertext }: VersionRow): Promise<unknown> =>
    await knex('secret_versions').where(row).update({ wrapped_dek, ciphertext });

  await put(source);
  const code = await refusal(() => store.tenant(to.tenant, ACTOR).get(name));
  report.step(
    `${from.tenant}'s row copied into ${to.tenant}'s ${name} is refused`,
    code === 'ERR_SECRETS_INTEGRITY',
    code,
  );
  await put(target);
  return code;
}

async function wrongRootIsRefused(knex: Knex, report: Report): Promise<string> {
  const wrong = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  const store = createSecretStore({ knex, root: wrong });
  const code = await refusal(() => store.ready());
  report.step(
    'Another root key under the same name is refused at start-up',
    code === 'ERR_SECRETS_ROOT_KEY_WRONG',
    code,
  );
  return code;
}

async function rotateRoot(
  knex: Knex,
  root: Keyring,
  tenants: readonly TenantCredentials[],
  report: Report,
): Promise<number> {
  const v2 = generateKeyBase64();
  const before = await knex('secret_versions').orderBy(['tenant_id', 'secret_id']).select('wrapped_dek', 'ciphertext');
  root.add('v2', v2);
  root.activate('v2');
  const rotating = createSecretStore({ knex, root });
  const { rewrapped, retired } = await rotating.rotateRoot(ACTOR);
  await rotating.close();
  const after = await knex('secret_versions').orderBy(['tenant_id', 'secret_id']).select('wrapped_dek', 'ciphertext');
  report.step(
    'The root key is rotated, no value rewritten',
    retired.includes('v1') && isDeepStrictEqual(before, after),
    `${rewrapped} tenant keys rewrapped`,
  );
  const fresh = createSecretStore({ knex, root: createKeyring({ keys: { v2 }, activeKid: 'v2' }) });
  report.step('With the new root key alone, everything reads as before', await readsBack(fresh, tenants));
  await fresh.close();
  return rewrapped;
}

async function showAudit(store: SecretStore, tenants: readonly TenantCredentials[], report: Report): Promise<number> {
  let rows = 0;
  for (const [index, { tenant, values }] of tenants.entries()) {
    const { items } = await store.tenant(tenant, ACTOR).auditLog({ limit: 500 });
    const count = (outcome: string, action: string): number =>
      items.filter((item) => item.outcome === outcome && item.action === action).length;
    // Read back twice by both; the second was refused the other's secret and the copied row. Where read and audit row are
    // one statement (PostgreSQL), the copied row's ciphertext was read, which the log says, before it was refused.
    const beyond = count('success', 'secret.get') - 2 * values.size;
    const complete =
      count('success', 'secret.save') === values.size &&
      (beyond === 0 || (beyond === 1 && index === 1)) &&
      count('refused', 'secret.get') === (index === 0 ? 0 : 2);
    report.step(
      `${tenant}: every save, read and refusal is in the audit log, each row authentic`,
      complete && items.every(({ authentic }) => authentic),
      `${items.length} rows`,
    );
    for (const { at, actor, action, secretName, outcome } of items.slice(0, SHOWN_AUDIT_ROWS).toReversed()) {
      report.show(`${at.toISOString()}  ${actor}  ${action.padEnd(17)} ${outcome.padEnd(8)} ${secretName ?? ''}`);
    }
    rows += items.length;
  }
  return rows;
}

interface VersionRow {
  readonly secret_id: string;
  readonly version: number;
  readonly wrapped_dek: Buffer;
  readonly ciphertext: Buffer;
}

async function currentVersion(knex: Knex, tenant: string, name: string): Promise<VersionRow> {
  return await knex({ s: 'secrets' })
    .join({ v: 'secret_versions' }, { 'v.tenant_id': 's.tenant_id', 'v.secret_id': 's.id' })
    .where({ 's.tenant_id': tenant, 's.name': name })
    .first('v.secret_id', 'v.version', 'v.wrapped_dek', 'v.ciphertext');
}

async function refusal(attempt: () => Promise<unknown>): Promise<string> {
  try {
    await attempt();
    return 'not refused';
  } catch (error) {
    if (isKeywrightError(error)) return error.code;
    throw error;
  }
}
