import { SIGN_ALGORITHMS, type SignAlg } from '../../algorithms.ts';
import { checkAlg, checkPattern, invalidArgument, kindOf, readOptions } from '../../arguments.ts';
import type { ProviderOptions } from '../../define-provider.ts';
import { checkAddress, type TlsOptions } from '../../internal/json-http.ts';

/** How the provider gets its bearer tokens: the client credentials grant (RFC 6749, 4.4). */
export interface ClientCredentials {
  /** Token endpoint: https, or http to this machine. Redirects are not followed. */
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string | undefined;
  /** Sent as `audience`, which some servers want. */
  readonly audience?: string | undefined;
  /** @default 'client_secret_basic' */
  readonly clientAuth?: 'client_secret_basic' | 'client_secret_post' | undefined;
}

/** Options of `httpProvider`. */
export interface HttpProviderOptions extends ProviderOptions {
  /** Address of the service: https, or http to this machine. May have a path. */
  readonly baseUrl: string;
  /** Sent as bearer token with every request. Either this or `oauth`. */
  readonly apiKey?: string | undefined;
  readonly oauth?: ClientCredentials | undefined;
  /** Authorities that the service and the token endpoint are trusted by, and the client's own certificate for mutual TLS. */
  readonly tls?: TlsOptions | undefined;
  /** @default '/keys' */
  readonly keysPath?: string | undefined;
  /** @default '/health' */
  readonly healthPath?: string | undefined;
  /**
   * Whether the service takes private keys over.
   * @default false
   */
  readonly canImport?: boolean | undefined;
  /**
   * Whether the service lists its keys, so that `reconcile()` can compare.
   * @default false
   */
  readonly canList?: boolean | undefined;
  /**
   * Algorithms that the service makes keys for; the first is the default.
   * @default ['ES256']
   */
  readonly algs?: readonly SignAlg[] | undefined;
  /**
   * Whether each signature is verified before it is given out, which costs a fraction of a millisecond.
   * @default false
   */
  readonly verifySignatures?: boolean | undefined;
  /**
   * Whether http:// to another machine is accepted: keys' users are then whoever is on the way.
   * @default false
   */
  readonly allowHttp?: boolean | undefined;
}

/** Options that were checked, copied and completed. */
export interface HttpSettings {
  readonly baseUrl: URL;
  readonly apiKey: string | undefined;
  readonly oauth: ClientCredentialsSettings | undefined;
  readonly tls: TlsOptions;
  readonly keysPath: string;
  readonly healthPath: string;
  readonly canImport: boolean;
  readonly canList: boolean;
  readonly algs: readonly SignAlg[];
  readonly verifySignatures: boolean;
}

export interface ClientCredentialsSettings {
  readonly tokenUrl: URL;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
}

const DEFAULTS = Object.freeze({ keysPath: '/keys', healthPath: '/health', algs: Object.freeze(['ES256'] as const) });

// Of characters that need no encoding; a segment of dots alone would be another path.
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/;
const VISIBLE = /^[\x21-\x7e]{1,8192}$/;
const PRINTABLE = /^[\x20-\x7e]{1,8192}$/;
const PEM = /^[\s\S]{1,1048576}$/;

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkHttpOptions(options: HttpProviderOptions): HttpSettings {
  return readOptions(options, 'options', (given) => {
    const allowHttp = checkFlag(given.allowHttp, 'allowHttp');
    const apiKey = optional(given.apiKey, 'apiKey', VISIBLE, 'visible ASCII characters');
    const oauth = given.oauth === undefined ? undefined : checkClientCredentials(given.oauth, allowHttp);
    if (apiKey !== undefined && oauth !== undefined) {
      throw invalidArgument('oauth', 'either apiKey or oauth', 'both');
    }
    return Object.freeze({
      baseUrl: checkAddress('baseUrl', given.baseUrl, allowHttp),
      apiKey,
      oauth,
      tls: checkTls(given.tls),
      keysPath: checkPath(given.keysPath ?? DEFAULTS.keysPath, 'keysPath'),
      healthPath: checkPath(given.healthPath ?? DEFAULTS.healthPath, 'healthPath'),
      canImport: checkFlag(given.canImport, 'canImport'),
      canList: checkFlag(given.canList, 'canList'),
      algs: checkAlgs(given.algs ?? DEFAULTS.algs),
      verifySignatures: checkFlag(given.verifySignatures, 'verifySignatures'),
    });
  });
}

function checkClientCredentials(oauth: ClientCredentials, allowHttp: boolean): ClientCredentialsSettings {
  if (typeof oauth !== 'object' || oauth === null) throw invalidArgument('oauth', 'an object', kindOf(oauth));
  const { tokenUrl, clientId, clientSecret, scope, audience, clientAuth = 'client_secret_basic' } = oauth;
  if (clientAuth !== 'client_secret_basic' && clientAuth !== 'client_secret_post') {
    throw invalidArgument('oauth.clientAuth', "'client_secret_basic' or 'client_secret_post'", kindOf(clientAuth));
  }
  const text = 'printable ASCII characters';
  const checkedScope = optional(scope, 'oauth.scope', PRINTABLE, text);
  const checkedAudience = optional(audience, 'oauth.audience', PRINTABLE, text);
  return Object.freeze({
    tokenUrl: checkAddress('oauth.tokenUrl', tokenUrl, allowHttp),
    clientId: checkPattern(clientId, PRINTABLE, 'oauth.clientId', text),
    clientSecret: checkPattern(clientSecret, PRINTABLE, 'oauth.clientSecret', text),
    parameters: Object.freeze({
      ...(checkedScope === undefined ? {} : { scope: checkedScope }),
      ...(checkedAudience === undefined ? {} : { audience: checkedAudience }),
    }),
    clientAuth,
  });
}

function checkTls(tls: TlsOptions | undefined): TlsOptions {
  if (tls === undefined) return {};
  if (typeof tls !== 'object' || tls === null) throw invalidArgument('tls', 'an object', kindOf(tls));
  const { ca, cert, key, passphrase } = tls;
  return Object.freeze({
    ca: optional(ca, 'tls.ca', PEM, 'PEM'),
    cert: optional(cert, 'tls.cert', PEM, 'PEM'),
    key: optional(key, 'tls.key', PEM, 'PEM'),
    passphrase: optional(passphrase, 'tls.passphrase', PEM, 'text'),
  });
}

function checkAlgs(algs: unknown): readonly SignAlg[] {
  const expected = `one or more of ${Object.keys(SIGN_ALGORITHMS).join(', ')}, each once`;
  if (!Array.isArray(algs)) throw invalidArgument('algs', expected, kindOf(algs));
  const checked = Array.from(algs, (alg, index) => checkAlg(alg, `algs[${index}]`));
  if (checked.length > 0 && new Set(checked).size === checked.length) return Object.freeze(checked);
  throw invalidArgument('algs', expected, checked.length === 0 ? 'none' : 'one of them twice');
}

function checkPath(path: unknown, argument: string): string {
  return checkPattern(path, PATH, argument, 'a path such as /v1/keys, without a slash at its end');
}

function checkFlag(flag: unknown, argument: string): boolean {
  if (flag === undefined || typeof flag === 'boolean') return flag === true;
  throw invalidArgument(argument, 'a boolean', kindOf(flag));
}

function optional(value: unknown, argument: string, pattern: RegExp, expected: string): string | undefined {
  return value === undefined ? undefined : checkPattern(value, pattern, argument, expected);
}
