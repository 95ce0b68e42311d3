import { describe } from '../keywright-error.ts';
import { checkOptions, checkText, configError } from './define.ts';
import { KeySourceError } from './errors.ts';
import { readTokenFile } from './small-file.ts';

/** How a service proves to Vault who it is. Exactly one way: none is tried after another. */
export type VaultAuth =
  | { readonly token: string }
  /** A file with a token, as Vault Agent keeps one. Read at each load. */
  | { readonly tokenFile: string }
  | {
      readonly kubernetes: {
        readonly role: string;
        /** @default 'kubernetes' */
        readonly mount?: string | undefined;
        /** @default '/var/run/secrets/kubernetes.io/serviceaccount/token' */
        readonly jwtFile?: string | undefined;
      };
    }
  | {
      readonly appRole: {
        readonly roleId: string;
        readonly secretId: string;
        /** @default 'approle' */
        readonly mount?: string | undefined;
      };
    };

/** A token that is at hand, or the login that gives one. */
export type VaultProof = { readonly token: string } | { readonly path: string; readonly body: string };

const TOKEN = /^[\x21-\x7e]{1,8192}$/; // what a header takes
const JWT_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/** @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` unless it is exactly one way */
export function checkVaultAuth(driver: string, auth: VaultAuth): () => Promise<VaultProof> {
  const ways = typeof auth === 'object' && auth !== null ? Object.keys(auth) : [];
  const [way] = ways;
  if (ways.length !== 1) {
    throw configError(driver, 'auth', 'one of token, tokenFile, kubernetes, appRole', describe(auth));
  }
  if ('token' in auth) {
    const token = checkToken(driver, auth.token, 'auth.token');
    return async () => ({ token });
  }
  if ('tokenFile' in auth) {
    const path = checkText(driver, 'auth.tokenFile', auth.tokenFile);
    return async () => ({ token: checkToken(driver, await readCredential(driver, path), 'auth.tokenFile') });
  }
  if ('kubernetes' in auth) {
    const { role, mount = 'kubernetes', jwtFile = JWT_FILE } = checkOptions(driver, auth.kubernetes, 'auth.kubernetes');
    checkText(driver, 'auth.kubernetes.role', role);
    checkText(driver, 'auth.kubernetes.jwtFile', jwtFile);
    const path = `auth/${checkVaultPath(driver, 'auth.kubernetes.mount', mount)}/login`;
    return async () => ({ path, body: JSON.stringify({ role, jwt: await readCredential(driver, jwtFile) }) });
  }
  if ('appRole' in auth) {
    const { roleId, secretId, mount = 'approle' } = checkOptions(driver, auth.appRole, 'auth.appRole');
    checkText(driver, 'auth.appRole.roleId', roleId);
    checkText(driver, 'auth.appRole.secretId', secretId);
    const path = `auth/${checkVaultPath(driver, 'auth.appRole.mount', mount)}/login`;
    return async () => ({ path, body: JSON.stringify({ role_id: roleId, secret_id: secretId }) });
  }
  throw configError(driver, 'auth', 'one of token, tokenFile, kubernetes, appRole', describe(way));
}

export function isToken(token: unknown): token is string {
  return typeof token === 'string' && TOKEN.test(token);
}

/** A token that can be sent: a line break in it would start another header. */
export function checkToken(driver: string, token: unknown, argument: string): string {
  if (isToken(token)) return token;
  throw configError(driver, argument, 'a token', describe(token));
}

/** A path below `/v1/`, its segments encoded. @throws KeySourceError `ERR_KEY_SOURCE_CONFIG` */
export function checkVaultPath(driver: string, argument: string, path: unknown): string {
  const segments = typeof path === 'string' ? path.split('/') : [];
  if (
    segments.length === 0 ||
    segments.some((segment) => segment === '' || segment === '.' || segment === '..' || !segment.isWellFormed())
  ) {
    throw configError(driver, argument, 'a path such as secret/data/acme/encryption-key', describe(path));
  }
  return segments.map(encodeURIComponent).join('/');
}

async function readCredential(driver: string, path: string): Promise<string> {
  const failed = (cause: unknown): KeySourceError =>
    new KeySourceError('ERR_KEY_SOURCE_NO_CREDENTIALS', { context: { driver }, cause });
  let text: string;
  try {
    text = (await readTokenFile(path)).trim();
  } catch (error) {
    throw failed(error);
  }
  if (text === '') throw failed(undefined);
  return text;
}
