import { constants, open } from 'node:fs/promises';
import { checkPattern, invalidArgument, kindOf } from '../../arguments.ts';
import { KmsError } from '../../errors.ts';

/** How a service proves to Vault who it is. Exactly one way: none is tried after another. */
export type VaultAuth =
  | { readonly token: string }
  /** A file with a token, as Vault Agent keeps one. Read again every few seconds, and when a token is refused. */
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
export type VaultProof =
  | { readonly from: 'configuration' | 'file'; readonly token: string }
  | { readonly from: 'login'; readonly path: string; readonly body: Readonly<Record<string, string>> };

const TOKEN = /^[\x21-\x7e]{1,8192}$/; // what a header takes
const TEXT = /^[\x20-\x7e]{1,8192}$/;
const FILE = /^[^\0]{1,4096}$/;
const MOUNT = /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,64}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,64}){0,7}$/;
const JWT_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const MAX_FILE_BYTES = 64 * 1024;

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` unless it is exactly one way */
export function checkVaultAuth(auth: unknown): () => Promise<VaultProof> {
  const given = typeof auth === 'object' && auth !== null ? (auth as Record<string, unknown>) : {};
  const ways = Object.keys(given).filter((way) => given[way] !== undefined);
  const expected = 'one of token, tokenFile, kubernetes, appRole';
  if (ways.length !== 1) throw invalidArgument('auth', expected, ways.length === 0 ? 'none' : `${ways.length}`);
  if (given.token !== undefined) {
    const proof = { from: 'configuration', token: checkToken(given.token, 'auth.token') } as const;
    return async () => proof;
  }
  if (given.tokenFile !== undefined) {
    const path = checkPattern(given.tokenFile, FILE, 'auth.tokenFile', 'a path');
    return async () => ({ from: 'file', token: await readCredential(path) });
  }
  if (given.kubernetes !== undefined) return kubernetesLogin(membersOf(given.kubernetes, 'auth.kubernetes'));
  if (given.appRole !== undefined) return appRoleLogin(membersOf(given.appRole, 'auth.appRole'));
  throw invalidArgument('auth', expected, 'another');
}

function kubernetesLogin(members: Record<string, unknown>): () => Promise<VaultProof> {
  const { mount = 'kubernetes', jwtFile = JWT_FILE } = members;
  const role = checkPattern(members.role, TEXT, 'auth.kubernetes.role', 'the name of a role');
  const file = checkPattern(jwtFile, FILE, 'auth.kubernetes.jwtFile', 'a path');
  const path = `auth/${checkVaultPath(mount, 'auth.kubernetes.mount')}/login`;
  // The cluster changes the file as its tokens end.
  return async () => ({ from: 'login', path, body: { role, jwt: await readCredential(file) } });
}

function appRoleLogin(members: Record<string, unknown>): () => Promise<VaultProof> {
  const { mount = 'approle' } = members;
  const role_id = checkPattern(members.roleId, TEXT, 'auth.appRole.roleId', 'a role id');
  const secret_id = checkPattern(members.secretId, TEXT, 'auth.appRole.secretId', 'a secret id');
  const path = `auth/${checkVaultPath(mount, 'auth.appRole.mount')}/login`;
  return async () => ({ from: 'login', path, body: { role_id, secret_id } });
}

export function isToken(token: unknown): token is string {
  return typeof token === 'string' && TOKEN.test(token);
}

/** A token that can be sent: a line break in it would start another header. */
export function checkToken(token: unknown, argument: string): string {
  return checkPattern(token, TOKEN, argument, 'a token');
}

/** A path below `/v1/`, of characters that need no encoding. @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkVaultPath(path: unknown, argument: string): string {
  return checkPattern(path, MOUNT, argument, 'a path such as transit or team/transit');
}

function membersOf(value: unknown, argument: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw invalidArgument(argument, 'an object', kindOf(value));
}

/** @throws KmsError `ERR_KMS_CREDENTIALS` unless the file holds what can be sent */
async function readCredential(path: string): Promise<string> {
  const failed = (cause?: unknown): KmsError =>
    new KmsError('ERR_KMS_CREDENTIALS', { context: { expected: 'a file that holds a token' }, cause });
  let text: string;
  try {
    text = (await readStart(path)).trim();
  } catch (error) {
    throw failed(error);
  }
  if (isToken(text)) return text;
  throw failed();
}

/** A file that is swapped for a huge one, a device or a pipe neither fills the memory nor is waited for. */
async function readStart(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // Windows has no O_NONBLOCK
  try {
    const buffer = Buffer.alloc(MAX_FILE_BYTES);
    const { bytesRead } = await file.read(buffer, 0, MAX_FILE_BYTES, 0);
    const text = buffer.toString('utf8', 0, bytesRead);
    buffer.fill(0);
    return text;
  } finally {
    await file.close();
  }
}
