import { SIGN_ALGS, type SignAlg } from './algorithms.ts';

/** What can be done with keys of one algorithm. Signing with a key that exists is always possible. */
export interface AlgCapabilities {
  readonly create: boolean;
  readonly import: boolean;
}

/** What a provider can do, for each operation and algorithm. What is not declared is refused with `ERR_KMS_UNSUPPORTED`. */
export interface KmsCapabilities {
  /** Algorithms of the keys that it signs with. */
  readonly algs: Readonly<Partial<Record<SignAlg, AlgCapabilities>>>;
  readonly defaultAlg: SignAlg;
  /** Whether a deleted key is gone at once, stops signing at once and is gone later, or cannot be deleted. */
  readonly deleteKey: 'immediate' | 'scheduled' | 'never';
  /** Whether `reconcile()` can see what the backend holds. */
  readonly listKeys: boolean;
  /** Whether private keys can leave it. Only of software keys. */
  readonly exportKey: boolean;
  /** Whether a key of it can wrap other keys, as the root key of a secret store does. */
  readonly wrapKey: boolean;
}

/** {@link KmsCapabilities} in short, as the prior system shows them. */
export interface KmsCapabilitySummary {
  readonly supportedAlgs: readonly SignAlg[];
  readonly defaultAlg: SignAlg;
  readonly canCreate: boolean;
  readonly canImport: boolean;
  readonly canDelete: boolean;
}

export function summarize(capabilities: KmsCapabilities): KmsCapabilitySummary {
  const { algs, defaultAlg, deleteKey } = capabilities;
  const supportedAlgs = SIGN_ALGS.filter((alg) => algs[alg] !== undefined);
  return {
    supportedAlgs,
    defaultAlg,
    canCreate: supportedAlgs.some((alg) => algs[alg]?.create),
    canImport: supportedAlgs.some((alg) => algs[alg]?.import),
    canDelete: deleteKey !== 'never',
  };
}
