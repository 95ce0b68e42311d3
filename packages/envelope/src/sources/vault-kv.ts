import { describe } from '../keywright-error.ts';
import { contentOf } from './content.ts';
import { checkOptions, configError, defineSource, kidOf } from './define.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { checkAddress, checkCertificates, type HttpAnswer, type HttpCall, httpCall } from './http.ts';
import { networkCode, statusCode } from './sdk.ts';
import type { KeySource, SecretOptions } from './source.ts';
import { hasDuplicateNames, isObject, parseJson } from './strict-json.ts';
import { checkToken, checkVaultAuth, checkVaultPath, isToken, type VaultAuth } from './vault-auth.ts';

const NAME = 'vault-kv';

export interface VaultKvOptions extends SecretOptions {
  /** As `VAULT_ADDR`: `https://vault.example.com:8200`. Plain http is taken for this machine only. */
  readonly address: string;
  /** API path of a secret in a KV version 2 engine, `data/` included: `secret/data/acme/encryption-key`. */
  readonly path: string;
  readonly auth: VaultAuth;
  /** @default the latest version */
  readonly version?: number | undefined;
  /** Namespace of Vault Enterprise or OpenBao. @default none */
  readonly namespace?: string | undefined;
  /** PEM of the authorities to trust. @default the system's */
  readonly ca?: string | undefined;
  /**
   * Takes plain http to another machine, where everybody on the way reads token and key.
   * @default false
   */
  readonly allowHttp?: boolean | undefined;
}

/**
 * Keys from a KV version 2 engine of HashiCorp Vault or OpenBao. The secret holds `key`, or `activeKid` and `keys` (see
 * the README):
 * `vault kv put secret/acme/encryption-key key=$(openssl rand -base64 32)`.
 *
 * Redirects are refused, so the token goes to `address` only. The token of a login is kept until it nears its end.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`; at load also `_UNREACHABLE` (no answer, sealed, overloaded),
 * `_TIMEOUT`, `_ABORTED`, `_DENIED`, `_NOT_FOUND`, `_NO_CREDENTIALS`, `_REDIRECTED`, `_INVALID_RESPONSE`,
 * `_CONTENT_INVALID`, `_TOO_LARGE`
 *
 * @example
 * ```ts
 * import { vaultKvSource } from '@keywright/envelope/sources';
 *
 * vaultKvSource({
 *   address: 'https://vault.example.com:8200',
 *   path: 'secret/data/acme/encryption-key',
 *   auth: { kubernetes: { role: 'acme' } },
 * });
 * ```
 */
export function vaultKvSource(options: VaultKvOptions): KeySource {
  const { version, namespace, ca } = checkOptions(NAME, options);
  const kid = kidOf(options);
  const base = checkAddress(NAME, 'address', options.address, options.allowHttp === true);
  const path = checkVaultPath(NAME, 'path', options.path);
  const prove = checkVaultAuth(NAME, options.auth);
  if (version !== undefined && !(Number.isSafeInteger(version) && version > 0)) {
    throw configError(
      NAME,
      'version',
      'a whole number from 1',
      typeof version === 'number' ? String(version) : describe(version),
    );
  }
  // Node takes an empty text for none, and trusts the system's authorities instead.
  if (ca !== undefined) checkCertificates(NAME, 'ca', ca);
  const common: Record<string, string> = { 'x-vault-request': 'true' };
  if (namespace !== undefined) common['x-vault-namespace'] = checkToken(NAME, namespace, 'namespace');
  let session: { readonly token: string; readonly until: number } | undefined;

  const call = (
    request: Pick<HttpCall, 'method' | 'signal' | 'headers'> & { path: string; query?: string; body?: string },
  ): Promise<HttpAnswer> => {
    const { path: below, query = '', headers, ...rest } = request;
    const url = new URL(base);
    url.pathname = `${base.pathname.replace(/\/$/, '')}/v1/${below}`;
    url.search = query;
    return httpCall({ ...rest, driver: NAME, url, ca, headers: { ...common, ...headers } });
  };

  /** A token, and whether it is one of an earlier login, which may have been revoked meanwhile. */
  const authenticate = async (signal: AbortSignal): Promise<{ token: string; reused: boolean }> => {
    if (session !== undefined && Date.now() < session.until) return { token: session.token, reused: true };
    const proof = await prove();
    if ('token' in proof) return { token: proof.token, reused: false };
    const headers = { 'content-type': 'application/json' };
    const { auth } = answered(
      await call({ method: 'POST', path: proof.path, body: proof.body, headers, signal }),
      true,
    );
    const { client_token: token, lease_duration: seconds } = isObject(auth) ? auth : {};
    if (typeof seconds !== 'number') throw invalidResponse('auth');
    if (!isToken(token)) throw invalidResponse('auth.client_token');
    session = { token, until: Date.now() + seconds * 900 };
    return { token, reused: false };
  };

  const read = async (signal: AbortSignal): Promise<HttpAnswer> => {
    const { token, reused } = await authenticate(signal);
    const query = version === undefined ? '' : `version=${version}`;
    const answer = await call({ method: 'GET', path, query, headers: { 'x-vault-token': token }, signal });
    if (answer.status !== 403 || !reused) return answer;
    session = undefined;
    return read(signal);
  };

  return defineSource({
    name: NAME,
    timeoutMs: options.timeoutMs,
    classify: (error) => networkCode(error) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE',
    async read(signal) {
      const { data } = answered(await read(signal), false);
      // A KV version 1 engine has the members of the secret here.
      if (!isObject(data) || !isObject(data.data) || !isObject(data.metadata)) throw invalidResponse('data');
      return contentOf(data.data, NAME, kid);
    },
  });
}

/** The JSON object of an answer. A login that is refused is 400 in Vault. */
function answered(answer: HttpAnswer, login: boolean): Record<string, unknown> {
  const { status, text } = answer;
  if (status !== 200) {
    const code = login && status === 400 ? 'ERR_KEY_SOURCE_DENIED' : codeOf(status);
    throw new KeySourceError(code, { context: { driver: NAME, received: `status ${status}` } });
  }
  const parsed = parseJson(text);
  if (!isObject(parsed) || hasDuplicateNames(text)) throw invalidResponse('body');
  return parsed;
}

function codeOf(status: number): KeySourceErrorCode {
  // 412: a replica that hasn't caught up; 472, 473: standby nodes.
  if (status === 412 || status === 472 || status === 473) return 'ERR_KEY_SOURCE_UNREACHABLE';
  return statusCode(status) ?? 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}

function invalidResponse(field: string): KeySourceError {
  const expected = 'the answer of a KV version 2 engine';
  return new KeySourceError('ERR_KEY_SOURCE_INVALID_RESPONSE', { context: { driver: NAME, field, expected } });
}
