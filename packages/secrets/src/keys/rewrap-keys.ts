import type { Keyring, KeyWrapper } from '@keywright/envelope';
import { SecretsError } from '../errors.ts';
import { eachAtOnce, eachInTurn } from './batches.ts';
import { type RootCall, typedRootCall, unwrapUnderRoot, wrapUnderRoot } from './root-calls.ts';
import { conflict } from './rotation-guard.ts';
import type { TenantKeyRow } from './tenant-keys.ts';

// Calls of a remote root key that are under way at a time.
const REMOTE_CALLS = 8;

export interface RewrapOptions {
  readonly root: KeyWrapper;
  /** Any keyring of the envelope package: what a local root key is told by. */
  readonly like: Keyring;
  /** The root key that all are put under. */
  readonly kid: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Tenant keys under the active root key, in the order of `rows`. Each was unwrapped again and compared.
 * @throws SecretsError `ERR_SECRETS_INTEGRITY` naming the key, `ERR_SECRETS_ROTATION_CONFLICT`, and as `unwrapUnderRoot`
 */
export async function rewrapKeys(options: RewrapOptions, rows: readonly TenantKeyRow[]): Promise<readonly Buffer[]> {
  const { root, like, signal } = options;
  // A keyring in memory answers at once: no timer for each call, and nothing gained by asking it side by side.
  const local = root.wrapKey === like.wrapKey && root.unwrapKey === like.unwrapKey;
  if (local) return await eachInTurn(rows, signal, (row) => rewrap(options, row, LOCAL));
  return await eachAtOnce(rows, REMOTE_CALLS, (row) => rewrap(options, row, REMOTE));
}

interface RootCalls {
  readonly wrap: typeof wrapUnderRoot;
  readonly unwrap: typeof unwrapUnderRoot;
}

const REMOTE: RootCalls = { wrap: wrapUnderRoot, unwrap: unwrapUnderRoot };
const LOCAL: RootCalls = {
  wrap: (root, key, call) =>
    typedRootCall(call, undefined, async (options) => {
      const { kid, wrapped } = await root.wrapKey(key, options);
      return { kid, wrapped };
    }),
  unwrap: (root, wrapped, call) => typedRootCall(call, wrapped.kid, (options) => root.unwrapKey(wrapped, options)),
};

async function rewrap(options: RewrapOptions, row: TenantKeyRow, calls: RootCalls): Promise<Buffer> {
  const { root, kid, timeoutMs, signal } = options;
  const call: RootCall = { tenantId: row.tenant_id, kekId: row.kek_id, timeoutMs, signal };
  if (row.wrapped === null) throw integrity(row);
  const key = await calls.unwrap(root, { kid: row.root_kid, wrapped: row.wrapped }, call);
  let check: Uint8Array | undefined;
  try {
    const fresh = await calls.wrap(root, key, call);
    // The active key changed under way: another one is now to be rotated to.
    if (fresh.kid !== kid) throw conflict(fresh.kid);
    check = await calls.unwrap(root, fresh, call);
    if (!Buffer.from(check.buffer, check.byteOffset, check.byteLength).equals(key)) throw integrity(row);
    return Buffer.from(fresh.wrapped);
  } finally {
    // A keyring makes each answer anew, so it is nobody else's.
    key.fill(0);
    check?.fill(0);
  }
}

function integrity(row: TenantKeyRow): SecretsError {
  return new SecretsError('ERR_SECRETS_INTEGRITY', { context: { tenantId: row.tenant_id, keyId: row.kek_id } });
}
