/** Keys as a source holds them. Never shown by `util.inspect` or `JSON.stringify` when it comes from this package. */
export interface KeyMaterial {
  /** kid → 32 bytes as padded base64, hex or Uint8Array. */
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
  /** The key that is to encrypt. */
  readonly activeKid: string;
}

export interface LoadOptions {
  /** Abandons the load. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Where keys are kept. Each call of {@link load} reads anew, takes bounded time and memory, and either gives every key
 * or throws: there is no second source to fall back to. Make a keyring with {@link loadKeyring}.
 */
export interface KeySource {
  /** Kind of source: `env`, `vault-kv`, `aws-secrets-manager` … It is `context.driver` of its errors. */
  readonly name: string;
  /**
   * @throws KeySourceError; KeyringError `ERR_KEYRING_KEY_INVALID`, `ERR_KEYRING_KID_INVALID`,
   * `ERR_KEYRING_KID_DUPLICATE`, `ERR_KEYRING_KID_UNKNOWN`, `ERR_KEYRING_KEY_MISSING` for what the secret holds
   */
  load(options?: LoadOptions): Promise<KeyMaterial>;
}

/** What every factory of a source that waits for something takes. */
export interface TimeLimit {
  /**
   * Most that one load may take, in milliseconds: loading an SDK, finding an identity and every attempt included.
   * @default 10_000
   */
  readonly timeoutMs?: number | undefined;
}

/** What every factory of a source that reads one secret takes. */
export interface SecretOptions extends TimeLimit {
  /**
   * Id of the key where the secret is a single key that doesn't say.
   * @default 'v1'
   */
  readonly kid?: string | undefined;
}

/** Most bytes that any source reads: the largest secret that a cloud's secrets manager takes. */
export const MAX_SECRET_BYTES = 65_536;
