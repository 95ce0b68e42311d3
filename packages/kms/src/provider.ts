import type { EncryptionContext } from '@keywright/envelope';
import type { SignAlg } from './algorithms.ts';
import type { KmsCapabilities } from './capabilities.ts';
import type { KmsErrorCode } from './errors.ts';
import type { PrivateJwk, PublicJwk } from './jwk.ts';

/** Options of every call. */
export interface CallOptions {
  /** Ends the call; what the backend was asked by then may have been done. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Longest that the call may take with its retries, in milliseconds; at most 2^31 - 1.
   * @default 10_000, or what the provider was configured with
   */
  readonly timeoutMs?: number | undefined;
}

/** Options of `getPublicKey`. */
export interface GetPublicKeyOptions extends CallOptions {
  /**
   * Whether the backend is asked also where its answer is in memory.
   * @default false
   */
  readonly fresh?: boolean | undefined;
}

/** Where a key is: all that signing needs. Holds nothing secret. */
export interface KmsKeyRef {
  readonly tenantId: string;
  /** The host's id of the key: what `kid` names, unique in its tenant. */
  readonly keyId: string;
  /** The provider that made it, and the only one that is asked. */
  readonly providerId: string;
  /** The backend's own id of the key, never text of a tenant. */
  readonly externalId: string;
  /** Version of the key in the backend, where it has versions: signatures are made with this one. */
  readonly externalVersion: string | null;
  readonly alg: SignAlg;
}

/** A key as the host records it. The private key stays in the backend. */
export interface KmsKey extends KmsKeyRef {
  readonly publicJwk: PublicJwk;
}

export interface CreateKeyInput {
  readonly tenantId: string;
  readonly keyId: string;
  /** @default the provider's `defaultAlg` */
  readonly alg?: SignAlg | undefined;
  /**
   * What the backend is to call the key: 32 lower-case hexadecimal digits, random and never used before. A key whose
   * answer was lost is found by it.
   * @default 128 random bits
   */
  readonly name?: string | undefined;
}

export interface ImportKeyInput extends CreateKeyInput {
  readonly privateJwk: PrivateJwk;
}

/** A key as the backend lists it. Where it records the host's ids, they are there. */
export interface BackendKey {
  readonly externalId: string;
  /** The `name` that it was made with, where the backend keeps it. */
  readonly name?: string | undefined;
  readonly tenantId?: string | undefined;
  readonly keyId?: string | undefined;
}

export interface BackendKeyPage {
  readonly keys: readonly BackendKey[];
  /** Passed to the next call; `undefined` after the last page. */
  readonly cursor: string | undefined;
}

export interface ListKeysOptions extends CallOptions {
  /** Tenant whose keys are listed. A backend that keeps tenants apart needs it; another lists its keys of all. */
  readonly tenantId?: string | undefined;
  /** @default from the first */
  readonly cursor?: string | undefined;
  /** @default 100 */
  readonly limit?: number | undefined;
}

/** Whether a provider answers. */
export interface KmsHealth {
  readonly providerId: string;
  readonly type: string;
  readonly ok: boolean;
  /** Whole milliseconds until the answer, or until it was given up. */
  readonly latencyMs: number;
  /** Code and constant message of what is wrong; never the backend's own text. */
  readonly error?: string;
  readonly code?: KmsErrorCode;
}

/** A key of the backend that wraps other keys. */
export interface WrappingKeyRef {
  /** The backend's own id of it. */
  readonly externalId: string;
}

/**
 * Signs with keys that it holds. Made by {@link defineProvider} from a driver, by a registry, or by the provider
 * packages.
 *
 * Every method rejects with a {@link KmsError}: `ERR_KMS_INVALID_ARGUMENT`, `ERR_KMS_UNSUPPORTED` for what is not among
 * its capabilities, `ERR_KMS_ABORTED`, `ERR_KMS_TIMEOUT`, `ERR_KMS_UNAVAILABLE`, `ERR_KMS_THROTTLED`,
 * `ERR_KMS_CREDENTIALS`, `ERR_KMS_DENIED`, `ERR_KMS_INVALID_RESPONSE`, `ERR_KMS_BACKEND`, `ERR_KMS_CLOSED`.
 */
export interface KmsProvider {
  /** Id of this instance, as configured; recorded with each key that it makes. */
  readonly id: string;
  /** `db`, `vault`, `aws-kms`, `pkcs11`, `http` or a type of the host's. */
  readonly type: string;
  readonly capabilities: KmsCapabilities;
  /** Makes a key pair in the backend. */
  createKey(input: CreateKeyInput, options?: CallOptions): Promise<KmsKey>;
  /** Takes over a key pair; where it came from keeps a copy. */
  importKey(input: ImportKeyInput, options?: CallOptions): Promise<KmsKey>;
  /** The backend's public key, at most 5 minutes old unless `fresh`. @throws KmsError also `ERR_KMS_KEY_NOT_FOUND` */
  getPublicKey(key: KmsKeyRef, options?: GetPublicKeyOptions): Promise<PublicJwk>;
  /**
   * Signs `data` (hashed as the key's algorithm has it, by whoever does that best): r ‖ s for ECDSA, as JOSE and COSE
   * have it.
   * @throws KmsError also `ERR_KMS_KEY_NOT_FOUND`, `ERR_KMS_KEY_NOT_USABLE`
   */
  sign(key: KmsKeyRef, data: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Deletes the key; one that is gone already is deleted. Rejects unless the backend is clean or has scheduled it. */
  deleteKey(key: KmsKeyRef, options?: CallOptions): Promise<void>;
  /** Keys of the backend that were made by this family of packages. */
  listKeys(options?: ListKeysOptions): Promise<BackendKeyPage>;
  /** The private key, where it can leave. @throws KmsError also `ERR_KMS_KEY_NOT_FOUND` */
  exportKey(key: KmsKeyRef, options?: CallOptions): Promise<PrivateJwk>;
  /** Makes a key that wraps others and never leaves. */
  createWrappingKey(options?: CallOptions): Promise<WrappingKeyRef>;
  /** @param context what the wrapped key is and where it lives; the backend binds the ciphertext to it */
  wrapKey(
    wrappingKey: WrappingKeyRef,
    key: Uint8Array,
    context: EncryptionContext,
    options?: CallOptions,
  ): Promise<Uint8Array>;
  /** @throws EnvelopeError `ERR_ENVELOPE_DECRYPT`: changed, of another context or of another key */
  unwrapKey(
    wrappingKey: WrappingKeyRef,
    wrapped: Uint8Array,
    context: EncryptionContext,
    options?: CallOptions,
  ): Promise<Uint8Array>;
  /** Never rejects. */
  health(options?: CallOptions): Promise<KmsHealth>;
  /** Ends sessions, sockets and timers; calls under way are ended, later ones refused. */
  close(): Promise<void>;
}
