import type { JsonWebKey } from 'node:crypto';
import type { EncryptionContext } from '@keywright/envelope';
import type { SignAlg } from './algorithms.ts';
import type { KmsCapabilities } from './capabilities.ts';
import type { PrivateJwk } from './jwk.ts';
import type { BackendKeyPage, KmsKeyRef, WrappingKeyRef } from './provider.ts';

/** One attempt of a call. */
export interface DriverCall {
  /** Aborted by the caller; of a remote call also when the attempt's time is up, and by `close()`. */
  readonly signal: AbortSignal;
  /** Of a local call, the caller's signal if it gave one: for drivers to whom listening in vain is a cost. */
  readonly callerSignal?: AbortSignal | undefined;
  /** When the attempt's time is up, as `performance.now()` counts. */
  readonly deadline: number;
}

/** A key pair as the backend gave it. */
export interface DriverKey {
  readonly externalId: string;
  readonly externalVersion: string | null;
  /** Checked and stripped to its public members by {@link defineProvider}. */
  readonly publicKey: JsonWebKey;
}

export interface DriverCreateKey {
  readonly tenantId: string;
  readonly keyId: string;
  readonly alg: SignAlg;
  readonly name: string;
}

/**
 * What a backend has to be able to do: the part of a provider that differs. {@link defineProvider} puts around it the
 * checks of arguments and capabilities, the deadline, retries, the public-key cache, the checks of answers, and typed
 * errors; so a driver throws a {@link KmsError} of the fitting code, and anything else becomes `ERR_KMS_BACKEND`.
 */
export interface KmsDriver {
  readonly type: string;
  /** May become narrower when the backend has been met, never wider. */
  readonly capabilities: KmsCapabilities;
  /**
   * `remote` calls get a deadline for each attempt and are retried. `local` ones are neither timed nor retried, which
   * would cost more than the call; a driver that waits in one keeps to the deadline itself.
   */
  readonly reach: 'local' | 'remote';
  /**
   * A refusal (`ERR_KMS_DENIED`, `_UNSUPPORTED` and the like) says that nothing was made. One that comes after something
   * was made and could not be undone has `state: 'creating'` in its context, so that `reconcile()` looks for it.
   */
  createKey(input: DriverCreateKey, call: DriverCall): Promise<DriverKey>;
  importKey?(input: DriverCreateKey & { readonly privateJwk: PrivateJwk }, call: DriverCall): Promise<DriverKey>;
  getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey>;
  /** Answers with r ‖ s for ECDSA. */
  sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array>;
  /** A key that is not there is no error. */
  deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void>;
  listKeys?(
    page: { readonly tenantId: string | undefined; readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage>;
  exportKey?(key: KmsKeyRef, call: DriverCall): Promise<PrivateJwk>;
  createWrappingKey?(input: { readonly name: string }, call: DriverCall): Promise<WrappingKeyRef>;
  wrapKey?(
    wrappingKey: WrappingKeyRef,
    key: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array>;
  unwrapKey?(
    wrappingKey: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    call: DriverCall,
  ): Promise<Uint8Array>;
  /** Rejects unless the backend can be worked with. */
  probe(call: DriverCall): Promise<void>;
  close(): Promise<void>;
}
