import { checkPattern, checkProviderId, invalidArgument, kindOf, randomName, readOptions } from '../arguments.ts';
import { KmsError } from '../errors.ts';
import { type PrivateJwk, publicJwkOf, thumbprint } from '../jwk.ts';
import type { CallOptions, KmsKey, KmsProvider } from '../provider.ts';
import type { KeyDatabase } from './connection.ts';
import { finishDelete } from './delete-key.ts';
import { type KeyProviders, providerOf } from './key-providers.ts';
import { type ActiveKey, EXTERNAL_ID, EXTERNAL_VERSION, type KeyRow, type RefRow, recordOf } from './key-record.ts';
import { KeyTable } from './key-table.ts';
import { Moves } from './moves.ts';
import { aboutKey, checkMade, codeOf, nothingWasDone } from './outcome.ts';
import { type Place, Places } from './places.ts';
import { mismatch, proveSameKey } from './same-key.ts';
import { BUSY_MS, withinLimit } from './within-limit.ts';

/** Where a key is to be used from now on. */
export type MoveTarget =
  | {
      /** Id of the provider that holds the same key already: under another id, or put there by its owner. */
      readonly to: string;
      readonly externalId: string;
      readonly externalVersion?: string | null | undefined;
      readonly import?: false | undefined;
    }
  | {
      /** Id of the provider that takes it over from one that lets keys leave. */
      readonly to: string;
      readonly import: true;
    };

export interface MovedKey {
  readonly key: ActiveKey;
  /**
   * What became of the key where it was: `kept` where only the reference moved; `deleting` where its backend would not
   * delete it, so that `reconcile()` or `delete()` tries again.
   */
  readonly former: 'deleted' | 'deleting' | 'kept';
}

interface Move {
  readonly db: KeyDatabase;
  readonly key: ActiveKey;
  readonly row: KeyRow;
  readonly from: KmsProvider;
  readonly to: KmsProvider;
  readonly options: CallOptions;
}

/** Makes another provider the one that a key is used by; see {@link TenantKeys.move}. */
export async function moveKey(
  db: KeyDatabase,
  providers: KeyProviders,
  tenantId: string,
  keyId: string,
  target: MoveTarget,
  options: CallOptions,
): Promise<MovedKey> {
  const checked = checkTarget(target);
  const row = await new KeyTable(db).find(tenantId, keyId, undefined);
  if (row === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND', { context: { tenantId, keyId } });
  const key = recordOf(row);
  if (key.status !== 'active') throw notUsable(key, key.status);
  const to = providerOf(providers, checked.to);
  if (to.capabilities.algs[key.alg] === undefined) throw unsupported(to, 'sign', key);
  if (!checked.import) return await moveReference(db, row, key, to, checked, options);
  const from = providerOf(providers, key.providerId);
  if (from.id === to.id) throw invalidArgument('to', 'another provider than the key is at', 'the same');
  if (!from.capabilities.exportKey) throw unsupported(from, 'exportKey', key);
  if (from.capabilities.deleteKey === 'never') throw unsupported(from, 'deleteKey', key);
  if (to.capabilities.algs[key.alg]?.import !== true) throw unsupported(to, 'importKey', key);
  return await moveByImport({ db, key, row, from, to, options });
}

async function moveReference(
  db: KeyDatabase,
  row: KeyRow,
  key: ActiveKey,
  to: KmsProvider,
  { externalId, externalVersion }: { readonly externalId: string; readonly externalVersion: string | null },
  options: CallOptions,
): Promise<MovedKey> {
  const { tenantId, keyId, alg, publicJwk } = key;
  const there: KmsKey = { tenantId, keyId, providerId: to.id, externalId, externalVersion, alg, publicJwk };
  const known = await new Places(db, 'move').known([], [externalId]);
  // It would be deleted there soon, by whoever it is that has to.
  if (known.some((place) => place.row.status === 'deleting')) throw notUsable(key, 'deleting');
  await proveSameKey(to, there, options).catch((error: unknown) => {
    throw aboutKey(error, there, 'move');
  });
  const moved = await new Moves(db).point(row, { ...there, name: row.name });
  if (moved === undefined) throw notUsable(key, 'moved');
  return { key: recordOf(moved) as ActiveKey, former: 'kept' };
}

/**
 * The copy is recorded before it is made. Killed anywhere before the row points to it, the key is where it was and the
 * copy is found and deleted; afterwards, the key is the copy and its former place is found and deleted.
 */
async function moveByImport(move: Move): Promise<MovedKey> {
  const { db, key, row, from, options } = move;
  const { tenantId, keyId } = key;
  const name = randomName();
  const places = new Places(db, 'move');
  const copy = copyOf(move, name);
  await places.insertCopy(copy.row, BUSY_MS);
  const there = await importCopy(move, places, copy);
  const moves = new Moves(db);
  try {
    await proveSameKey(move.to, there, options);
    const pointed = await moves.replace(row, { ...there, name });
    if (pointed === undefined) throw notUsable(key, 'moved');
    const former: Place = { table: 'copies', row: { ...refRow(row), status: 'deleting' } };
    const deleted = await finishDelete(places, former, from, options).then(
      () => true,
      (error: unknown) => {
        db.warn(`a key was moved, and its former place not deleted (${codeOf(error)}); reconcile() tries again`);
        return false;
      },
    );
    return { key: recordOf(pointed) as ActiveKey, former: deleted ? 'deleted' : 'deleting' };
  } catch (error) {
    // Only a copy that the row does not point to: the claim fails where the row does after all.
    await abandon(move, places, copy, there);
    throw aboutKey(error, { tenantId, keyId, providerId: there.providerId }, 'move');
  }
}

/** The copy in its new backend. */
async function importCopy(move: Move, places: Places, copy: Place): Promise<KmsKey> {
  const { db, key, to, options } = move;
  const { tenantId, keyId, alg } = key;
  const { name } = copy.row;
  const ended = async (error: unknown, providerId: string, forget: () => Promise<unknown>): Promise<Error> => {
    try {
      await forget();
    } catch {
      db.warn('the row of a copy that was not made is still there; reconcile() clears it away');
    }
    return aboutKey(error, { tenantId, keyId, providerId }, 'move');
  };
  let privateJwk: PrivateJwk;
  try {
    privateJwk = await exported(move);
  } catch (error) {
    throw await ended(error, key.providerId, () => places.drop(copy, 'creating'));
  }
  const input = { tenantId, keyId, alg, name, privateJwk };
  try {
    const made = checkMade(await withinLimit(options, (limited) => to.importKey(input, limited)));
    return { ...made, publicJwk: key.publicJwk };
  } catch (error) {
    const forget = () => (nothingWasDone(error) ? places.drop(copy, 'creating') : places.release(copy));
    throw await ended(error, to.id, forget);
  }
}

async function exported({ key, from, options }: Move): Promise<PrivateJwk> {
  const privateJwk = await from.exportKey(key, options);
  if (thumbprint(publicJwkOf(key.alg, { ...privateJwk })) === thumbprint(key.publicJwk)) return privateJwk;
  throw mismatch(key);
}

async function abandon({ db, to }: Move, places: Places, copy: Place, there: KmsKey): Promise<void> {
  const { externalId, externalVersion } = there;
  try {
    if (!(await places.claim(copy, externalId, externalVersion))) return;
    const row: RefRow = { ...copy.row, external_id: externalId, external_version: externalVersion };
    await finishDelete(places, { ...copy, row }, to, {});
  } catch (error) {
    db.warn(`a copy of a key that was not moved is left in its backend (${codeOf(error)}); reconcile() finds it`);
  }
}

function copyOf({ key, to }: Move, name: string): Place {
  const row: RefRow = {
    tenant_id: key.tenantId,
    key_id: key.keyId,
    provider_id: to.id,
    name,
    external_id: null,
    external_version: null,
    alg: key.alg,
    status: 'creating',
  };
  return { table: 'copies', row };
}

function refRow({ tenant_id, key_id, provider_id, name, external_id, external_version, alg, status }: KeyRow): RefRow {
  return { tenant_id, key_id, provider_id, name, external_id, external_version, alg, status };
}

type CheckedTarget =
  | { readonly to: string; readonly import: true }
  | {
      readonly to: string;
      readonly import: false;
      readonly externalId: string;
      readonly externalVersion: string | null;
    };

function checkTarget(target: MoveTarget): CheckedTarget {
  return readOptions(target, 'target', (given): CheckedTarget => {
    const to = checkProviderId(given.to, 'to');
    if (given.import === true) {
      if (!('externalId' in given) || given.externalId === undefined) return { to, import: true };
      throw invalidArgument('externalId', 'nothing where the key is imported', kindOf(given.externalId));
    }
    if (given.import !== undefined && given.import !== false) {
      throw invalidArgument('import', 'a boolean', kindOf(given.import));
    }
    const { externalId, externalVersion } = given as { externalId?: unknown; externalVersion?: unknown };
    return {
      to,
      import: false,
      externalId: checkPattern(externalId, EXTERNAL_ID, 'externalId', 'the backend’s id of the key'),
      externalVersion:
        externalVersion === undefined || externalVersion === null
          ? null
          : checkPattern(externalVersion, EXTERNAL_VERSION, 'externalVersion', 'a version or null'),
    };
  });
}

function notUsable({ tenantId, keyId }: Pick<KmsKey, 'tenantId' | 'keyId'>, state: string): KmsError {
  return new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { operation: 'move', tenantId, keyId, state } });
}

function unsupported(provider: KmsProvider, operation: string, { tenantId, keyId, alg }: KmsKey): KmsError {
  return new KmsError('ERR_KMS_UNSUPPORTED', { context: { provider: provider.id, operation, tenantId, keyId, alg } });
}
