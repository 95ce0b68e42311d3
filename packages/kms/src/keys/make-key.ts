import { randomName } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import type { CallOptions, CreateKeyInput, KmsKey, KmsProvider } from '../provider.ts';
import type { KeyDatabase } from './connection.ts';
import { finishDelete } from './delete-key.ts';
import { type ActiveKey, type KeyRow, type RefRow, recordOf } from './key-record.ts';
import { KeyTable, type Stub } from './key-table.ts';
import type { CheckedNewKey } from './options.ts';
import { aboutKey, checkMade, codeOf, nothingWasDone } from './outcome.ts';
import { type Place, Places } from './places.ts';
import { BUSY_MS, withinLimit } from './within-limit.ts';

/** What makes the key in its backend: `createKey` or `importKey`. */
export type Make = (input: CreateKeyInput, options: CallOptions) => Promise<KmsKey>;

/** The key that is to be made, and where. */
export interface Making {
  readonly tenantId: string;
  readonly input: CheckedNewKey;
  /** Whether the caller chose the key id. */
  readonly named: boolean;
  readonly provider: KmsProvider;
  readonly make: Make;
}

/**
 * Makes a key: its row is committed before the backend is asked, and says what the backend may hold, whatever becomes
 * of this process. The key is used only once the row says that it is there.
 */
export async function makeKey(db: KeyDatabase, making: Making, options: CallOptions): Promise<ActiveKey> {
  const { tenantId, input, provider } = making;
  const { keyId, description } = input;
  const alg = input.alg ?? provider.capabilities.defaultAlg;
  const stub: Stub = {
    tenantId,
    keyId,
    providerId: provider.id,
    name: randomName(),
    alg,
    description,
    busyMs: BUSY_MS,
  };
  const table = new KeyTable(db);
  if (!(await table.insertStub(stub))) throw new KmsError('ERR_KMS_KEY_EXISTS', { context: { tenantId, keyId } });
  const made = await askBackend(db, making, stub, options);
  try {
    return await activate(table, stub, made);
  } catch (error) {
    await compensate(db, provider, stub, made);
    throw aboutKey(error, stub, 'create');
  }
}

async function askBackend(
  db: KeyDatabase,
  { make, named, input }: Making,
  stub: Stub,
  options: CallOptions,
): Promise<KmsKey> {
  const { tenantId, keyId, name } = stub;
  const alg = input.alg;
  try {
    return checkMade(await withinLimit(options, (limited) => make({ tenantId, keyId, alg, name }, limited)));
  } catch (error) {
    const places = new Places(db, 'create');
    const place = placeOf(stub);
    if (nothingWasDone(error)) {
      // Where even that fails, reconcile() clears the row away: the backend holds nothing.
      await places.drop(place, 'creating').catch(() => db.warn('the row of a key that was refused is still there'));
      throw aboutKey(error, stub, 'create');
    }
    await places
      .release(place)
      .catch(() => db.warn('a key is left in the state creating; its row could not be changed'));
    const retryable = named ? { retryable: false } : {};
    throw aboutKey(error, stub, 'create', { state: 'creating', ...retryable });
  }
}

/** @throws KmsError also `ERR_KMS_KEY_NOT_USABLE`: the row is gone or another's by now */
async function activate(table: KeyTable, stub: Stub, made: KmsKey): Promise<ActiveKey> {
  let row: KeyRow | undefined;
  try {
    row = await table.activate(stub, made);
  } catch (error) {
    // The connection may have been lost after the commit.
    row = await table.find(stub.tenantId, stub.keyId, undefined).catch(() => undefined);
    if (row === undefined) throw error;
    if (row.status === 'creating' && row.name === stub.name) row = await table.activate(stub, made);
  }
  if (row?.status === 'active' && row.name === stub.name) return recordOf(row) as ActiveKey;
  throw new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { state: row?.status ?? 'gone' } });
}

/** Deletes a key that nobody was given. What cannot be done here is left to `reconcile()`. */
async function compensate(db: KeyDatabase, provider: KmsProvider, stub: Stub, made: KmsKey): Promise<void> {
  const places = new Places(db, 'create');
  const place = placeOf(stub);
  try {
    // Not before the row says so: it may be active after all.
    const claimed = await places.claim(place, made.externalId, made.externalVersion);
    const row: RefRow = { ...place.row, external_id: made.externalId, external_version: made.externalVersion };
    if (claimed || (await isNobodys(db, stub))) await finishDelete(places, { ...place, row }, provider, {});
  } catch (error) {
    db.warn(`a key that could not be recorded is left in its backend (${codeOf(error)}); reconcile() finds it`);
  }
}

async function isNobodys(db: KeyDatabase, { tenantId, keyId, name }: Stub): Promise<boolean> {
  const row = await new KeyTable(db).find(tenantId, keyId, undefined);
  return row === undefined || row.name !== name || row.status === 'deleting';
}

function placeOf({ tenantId, keyId, providerId, name, alg }: Stub): Place {
  const row: RefRow = {
    tenant_id: tenantId,
    key_id: keyId,
    provider_id: providerId,
    name,
    external_id: null,
    external_version: null,
    alg,
    status: 'creating',
  };
  return { table: 'keys', row };
}
