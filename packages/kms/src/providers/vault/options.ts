import type { Logger } from '@keywright/envelope';
import { checkPattern, invalidArgument, kindOf, readOptions } from '../../arguments.ts';
import type { ProviderOptions } from '../../define-provider.ts';
import { checkAddress, type TlsOptions } from '../../internal/json-http.ts';
import { checkVaultAuth, checkVaultPath, type VaultAuth, type VaultProof } from './auth.ts';

/** Options of `vaultProvider`. */
export interface VaultProviderOptions extends ProviderOptions {
  /** As `VAULT_ADDR`: `https://vault.example.com:8200`, without `/v1`. Plain http is taken for this machine only. */
  readonly vaultUrl: string;
  /** A token that is given. Either this or `auth`. */
  readonly vaultToken?: string | undefined;
  /** How to get a token. */
  readonly auth?: VaultAuth | undefined;
  /** Namespace of Vault Enterprise or OpenBao. @default none */
  readonly namespace?: string | undefined;
  /**
   * Where the mounts of tenants are: a tenant's is `<mountPrefix>/<32 hex digits of SHA-256(tenantId)>`, mounted when its
   * first key is made. Part of where keys are: not to be changed once there are keys. Nothing may be mounted at the
   * prefix itself.
   * @default 'keywright'
   */
  readonly mountPrefix?: string | undefined;
  /** One Transit mount for the keys of all tenants, instead of one for each. @default none */
  readonly mount?: string | undefined;
  /** Authorities to trust, and the client's own certificate. */
  readonly tls?: TlsOptions | undefined;
  /**
   * Takes plain http to another machine, where everybody on the way reads the token.
   * @default false
   */
  readonly allowHttp?: boolean | undefined;
  /** Hears of tokens that could not be renewed. @default silence */
  readonly logger?: Logger | undefined;
}

/** Options that were checked, copied and completed. */
export interface VaultSettings {
  readonly vaultUrl: URL;
  readonly prove: () => Promise<VaultProof>;
  readonly namespace: string | undefined;
  readonly mountPrefix: string;
  readonly mount: string | undefined;
  readonly tls: TlsOptions;
}

const DEFAULTS = Object.freeze({ mountPrefix: 'keywright' });

const NAMESPACE = /^[A-Za-z0-9_.~-]{1,64}(?:\/[A-Za-z0-9_.~-]{1,64}){0,15}\/?$/;
const PEM = /^[\s\S]{1,1048576}$/;

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkVaultOptions(options: VaultProviderOptions): VaultSettings {
  return readOptions(options, 'options', (given) => {
    const { allowHttp = false, vaultToken, auth, mount, mountPrefix, namespace } = given;
    if (typeof allowHttp !== 'boolean') throw invalidArgument('allowHttp', 'a boolean', kindOf(allowHttp));
    if ((vaultToken === undefined) === (auth === undefined)) {
      throw invalidArgument('auth', 'either vaultToken or auth', auth === undefined ? 'neither' : 'both');
    }
    if (mount !== undefined && mountPrefix !== undefined) {
      throw invalidArgument('mount', 'either mount or mountPrefix', 'both');
    }
    const vaultUrl = checkAddress('vaultUrl', given.vaultUrl, allowHttp);
    // Everything would seem to be not mounted there.
    if (/\/v1\/?$/.test(vaultUrl.pathname)) throw invalidArgument('vaultUrl', 'an address without /v1', 'one with it');
    return Object.freeze({
      vaultUrl,
      prove: vaultToken === undefined ? checkVaultAuth(auth) : proveByToken(vaultToken),
      namespace:
        namespace === undefined ? undefined : checkPattern(namespace, NAMESPACE, 'namespace', 'such as team/service'),
      mountPrefix: checkVaultPath(mountPrefix ?? DEFAULTS.mountPrefix, 'mountPrefix'),
      mount: mount === undefined ? undefined : checkVaultPath(mount, 'mount'),
      tls: checkTls(given.tls),
    });
  });
}

function proveByToken(vaultToken: unknown): () => Promise<VaultProof> {
  try {
    return checkVaultAuth({ token: vaultToken });
  } catch {
    throw invalidArgument('vaultToken', 'a token', kindOf(vaultToken));
  }
}

function checkTls(tls: TlsOptions | undefined): TlsOptions {
  if (tls === undefined) return {};
  if (typeof tls !== 'object' || tls === null) throw invalidArgument('tls', 'an object', kindOf(tls));
  const { ca, cert, key, passphrase } = tls;
  return Object.freeze({
    ca: optional(ca, 'tls.ca', 'PEM'),
    cert: optional(cert, 'tls.cert', 'PEM'),
    key: optional(key, 'tls.key', 'PEM'),
    passphrase: optional(passphrase, 'tls.passphrase', 'text'),
  });
}

function optional(value: unknown, argument: string, expected: string): string | undefined {
  return value === undefined ? undefined : checkPattern(value, PEM, argument, expected);
}
