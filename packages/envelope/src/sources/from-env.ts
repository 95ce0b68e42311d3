import { KeyringError } from '../errors.ts';
import { isKid } from '../keys.ts';
import { describe } from '../keywright-error.ts';
import type { Logger } from '../logger.ts';
import { awsSecretsManagerSource } from './aws-secrets-manager.ts';
import { awsSsmSource } from './aws-ssm.ts';
import { azureKeyVaultSource } from './azure-key-vault.ts';
import { checkOptions } from './define.ts';
import { envSource } from './env-source.ts';
import { KeySourceError } from './errors.ts';
import { fileSource } from './file.ts';
import { gcpSecretManagerSource } from './gcp-secret-manager.ts';
import { masterSecretSource } from './master-secret.ts';
import { passphraseSource } from './passphrase.ts';
import { readBundle } from './small-file.ts';
import type { KeySource, TimeLimit } from './source.ts';
import type { VaultAuth } from './vault-auth.ts';
import { vaultKvSource } from './vault-kv.ts';

export interface KeySourceFromEnvOptions extends TimeLimit {
  /**
   * Where to read the variables. The SDKs of the clouds read their own from process.env.
   * @default process.env
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Lets `ENCRYPTION_KEY_SOURCE=env` derive the key from MASTER_SECRET in production. @default false */
  readonly allowInProduction?: boolean | undefined;
  /** Is warned about a source that is for development. @default a process warning */
  readonly logger?: Logger | undefined;
}

const SELECTOR = 'ENCRYPTION_KEY_SOURCE';
const DEFAULT_VAULT_PATH = 'secret/data/eudiplo/encryption-key';

const VARIABLES: ReadonlyMap<string, string> = new Map([
  ['master-secret secret', 'MASTER_SECRET'],
  ['gcp-secret-manager secret', 'GCP_ENCRYPTION_SECRET_NAME'],
  ['passphrase passphrase', 'ENCRYPTION_PASSPHRASE'],
  ['passphrase parameters', 'ENCRYPTION_PASSPHRASE_PARAMETERS'],
  ['vault-kv address', 'VAULT_ADDR'],
  ['vault-kv path', 'VAULT_ENCRYPTION_KEY_PATH'],
  ['vault-kv auth.token', 'VAULT_TOKEN'],
  ['vault-kv namespace', 'VAULT_NAMESPACE'],
  ['vault-kv ca', 'VAULT_CACERT'],
  ['azure-key-vault vaultUrl', 'AZURE_KEYVAULT_URL'],
]);

/** Reads variables; an empty one counts as unset. */
class Variables {
  readonly #env: Readonly<Record<string, string | undefined>>;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  get(name: string): string | undefined {
    return String(this.#env[name] ?? '').trim() || undefined;
  }

  need(name: string): string {
    const value = this.get(name);
    if (value === undefined) throw refused(name, 'a value', 'nothing');
    return value;
  }

  /** As it is, blanks around it included: another program derives from all of it. */
  needExactly(name: string): string {
    this.need(name);
    return String(this.#env[name]);
  }

  flag(name: string): boolean {
    const value = this.get(name) ?? 'false';
    if (value !== 'true' && value !== 'false') throw refused(name, 'true or false', 'another value');
    return value === 'true';
  }
}

type Maker = (read: Variables, options: KeySourceFromEnvOptions & { readonly kid: string | undefined }) => KeySource;

const MAKERS: ReadonlyMap<string, Maker> = new Map<string, Maker>([
  ['env', (read, options) => masterSecretSource({ ...options, secret: read.needExactly('MASTER_SECRET') })],
  [
    'env-keys',
    (_read, { env, kid }) => {
      // KEYWRIGHT_KID says it there. Ignored, it would let keys be written under another id than was asked for.
      if (kid !== undefined) throw refused('ENCRYPTION_KEY_ID', 'KEYWRIGHT_KID with env-keys', 'a value');
      return envSource(env === undefined ? {} : { env });
    },
  ],
  [
    'file',
    (read, options) => {
      const allowGroupRead = read.flag('ENCRYPTION_KEY_FILE_GROUP_READ');
      return fileSource(read.need('ENCRYPTION_KEY_FILE'), { ...options, allowGroupRead });
    },
  ],
  [
    'passphrase',
    (read, options) =>
      passphraseSource(
        read.needExactly('ENCRYPTION_PASSPHRASE'),
        read.need('ENCRYPTION_PASSPHRASE_PARAMETERS'),
        options,
      ),
  ],
  [
    'vault',
    (read, options) =>
      vaultKvSource({
        ...options,
        address: read.need('VAULT_ADDR'),
        path: read.get('VAULT_ENCRYPTION_KEY_PATH') ?? DEFAULT_VAULT_PATH,
        auth: vaultAuth(read),
        namespace: read.get('VAULT_NAMESPACE'),
        ca: certificates(read),
      }),
  ],
  [
    'aws',
    (read, options) =>
      awsSecretsManagerSource(read.need('AWS_ENCRYPTION_SECRET_NAME'), { ...options, region: read.get('AWS_REGION') }),
  ],
  [
    'aws-ssm',
    (read, options) =>
      awsSsmSource(read.need('AWS_ENCRYPTION_PARAMETER_NAME'), { ...options, region: read.get('AWS_REGION') }),
  ],
  [
    'azure',
    (read, options) =>
      azureKeyVaultSource(read.need('AZURE_KEYVAULT_URL'), read.need('AZURE_ENCRYPTION_SECRET_NAME'), options),
  ],
  ['gcp', (read, options) => gcpSecretManagerSource(read.need('GCP_ENCRYPTION_SECRET_NAME'), options)],
]);

/**
 * The source that `ENCRYPTION_KEY_SOURCE` names, from the variables below. A variable that is unset, unknown or missing
 * is an error: there is no default source, and none is tried after another. Empty counts as unset.
 *
 * | ENCRYPTION_KEY_SOURCE | variables |
 * |---|---|
 * | `env` (development) | MASTER_SECRET |
 * | `env-keys` | those of {@link keyringFromEnv} |
 * | `file` | ENCRYPTION_KEY_FILE, ENCRYPTION_KEY_FILE_GROUP_READ (`true`, default `false`) |
 * | `passphrase` | ENCRYPTION_PASSPHRASE, ENCRYPTION_PASSPHRASE_PARAMETERS |
 * | `vault` | VAULT_ADDR, VAULT_ENCRYPTION_KEY_PATH (default `secret/data/eudiplo/encryption-key`), one of VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_KUBERNETES_ROLE, VAULT_ROLE_ID with VAULT_SECRET_ID; VAULT_NAMESPACE, VAULT_CACERT (a file) |
 * | `aws` | AWS_ENCRYPTION_SECRET_NAME, AWS_REGION |
 * | `aws-ssm` | AWS_ENCRYPTION_PARAMETER_NAME, AWS_REGION |
 * | `azure` | AZURE_KEYVAULT_URL, AZURE_ENCRYPTION_SECRET_NAME |
 * | `gcp` | GCP_ENCRYPTION_SECRET_NAME: `projects/<project>/secrets/<name>` |
 *
 * ENCRYPTION_KEY_ID is the kid of a single key, default `v1`; with `env-keys` that is KEYWRIGHT_KID.
 *
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`, naming the variable; KeyringError `ERR_KEYRING_KID_INVALID`
 *
 * @example
 * ```ts
 * import { keySourceFromEnv, loadKeyring } from '@keywright/envelope/sources';
 *
 * const env = {
 *   ENCRYPTION_KEY_SOURCE: 'env', // in production: vault, aws, azure …
 *   MASTER_SECRET: 'only-for-development-0123456789abcdef',
 * };
 * const keyring = await loadKeyring(keySourceFromEnv({ env }));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function keySourceFromEnv(options: KeySourceFromEnvOptions = {}): KeySource {
  const read = new Variables(checkOptions('env', options).env ?? process.env);
  const name = read.get(SELECTOR);
  const make = MAKERS.get(name ?? '');
  if (make === undefined) {
    throw refused(
      SELECTOR,
      `one of ${[...MAKERS.keys()].join(', ')}`,
      name === undefined ? 'nothing' : 'another value',
    );
  }
  const kid = read.get('ENCRYPTION_KEY_ID');
  if (kid !== undefined && !isKid(kid)) {
    throw new KeyringError('ERR_KEYRING_KID_INVALID', {
      context: { variable: 'ENCRYPTION_KEY_ID', received: describe(kid) },
    });
  }
  try {
    return make(read, { ...options, kid });
  } catch (error) {
    // What the factories call an argument was a variable here.
    if (!(error instanceof KeySourceError)) throw error;
    const variable = VARIABLES.get(`${error.context.driver} ${error.context.argument}`);
    if (variable === undefined) throw error;
    throw new KeySourceError(error.code, { context: { ...error.context, variable } });
  }
}

/** The one way to authenticate that is configured; two would leave open which one counts. */
function vaultAuth(read: Variables): VaultAuth {
  const ways: VaultAuth[] = [];
  const token = read.get('VAULT_TOKEN');
  const tokenFile = read.get('VAULT_TOKEN_FILE');
  const role = read.get('VAULT_KUBERNETES_ROLE');
  const roleId = read.get('VAULT_ROLE_ID');
  if (token !== undefined) ways.push({ token });
  if (tokenFile !== undefined) ways.push({ tokenFile });
  if (role !== undefined) ways.push({ kubernetes: { role } });
  if (roleId !== undefined) ways.push({ appRole: { roleId, secretId: read.need('VAULT_SECRET_ID') } });
  const [way] = ways;
  if (way !== undefined && ways.length === 1) return way;
  const variable = 'VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_KUBERNETES_ROLE, VAULT_ROLE_ID';
  throw refused(variable, 'exactly one', way === undefined ? 'none' : 'several');
}

function certificates(read: Variables): string | undefined {
  const path = read.get('VAULT_CACERT');
  if (path === undefined) return undefined;
  try {
    return readBundle(path);
  } catch (error) {
    const context = { variable: 'VAULT_CACERT', expected: 'a file of certificates', received: 'none that can be read' };
    throw new KeySourceError('ERR_KEY_SOURCE_CONFIG', { context, cause: error });
  }
}

function refused(variable: string, expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_CONFIG', { context: { variable, expected, received } });
}
