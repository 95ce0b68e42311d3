import { invalidArgument } from '../../arguments.ts';
import type { KmsProvider } from '../../provider.ts';
import type { KmsProviderType, ProviderEntry, ProviderSchema, ProviderServices } from '../../provider-type.ts';
import type { VaultAuth } from './auth.ts';
import type { VaultProviderOptions } from './options.ts';
import { vaultProvider } from './provider.ts';

const text = (description: string): object => ({ type: 'string', minLength: 1, description });
const secret = (description: string): object => ({ ...text(description), writeOnly: true });
const withDefault = (byDefault: string, description: string): object => ({ ...text(description), default: byDefault });
const milliseconds = (byDefault: number, description: string): object => ({
  type: 'integer',
  minimum: 1,
  maximum: 2 ** 31 - 1,
  default: byDefault,
  description,
});

const schema: ProviderSchema = {
  type: 'object',
  properties: {
    vaultUrl: text('Address of the server, without /v1: https, or http to this machine.'),
    vaultToken: secret('A token. One way to log in; the others are tokenFile, roleId and role.'),
    tokenFile: text('File that holds a token, as Vault Agent keeps one.'),
    roleId: text('Role id of an AppRole.'),
    secretId: secret('Secret id of the AppRole.'),
    appRoleMount: withDefault('approle', 'Where AppRole is mounted, below auth/.'),
    role: text('Role of the Kubernetes auth method.'),
    jwtFile: withDefault(
      '/var/run/secrets/kubernetes.io/serviceaccount/token',
      'File that holds the token of the service account.',
    ),
    kubernetesMount: withDefault('kubernetes', 'Where the Kubernetes auth method is mounted, below auth/.'),
    namespace: text('Namespace of Vault Enterprise or OpenBao.'),
    mountPrefix: withDefault('keywright', 'Path below which the Transit mounts of tenants are.'),
    mount: text('One Transit mount for all tenants, instead of one for each.'),
    tls: {
      type: 'object',
      description: 'Certificates in PEM, most often by file: references.',
      properties: {
        ca: text('Authorities to trust instead of those that Node brings.'),
        cert: text('Certificate of the client, for mutual TLS.'),
        key: secret('Private key of the client.'),
        passphrase: secret('Passphrase of the private key.'),
      },
      dependentRequired: { cert: ['key'], key: ['cert'], passphrase: ['key'] },
      additionalProperties: false,
    },
    allowHttp: { type: 'boolean', default: false, description: 'Whether http:// to another machine is accepted.' },
    timeoutMs: milliseconds(10_000, 'Longest that a call may take with its retries.'),
    attemptTimeoutMs: milliseconds(4_000, 'Longest that one attempt may take.'),
    retries: {
      type: 'integer',
      minimum: 0,
      maximum: 10,
      default: 3,
      description: 'How often a call that failed for a passing reason is made again.',
    },
    publicKeyTtlMs: milliseconds(300_000, 'How long a public key is taken from memory.'),
  },
  required: ['vaultUrl'],
  dependentRequired: {
    roleId: ['secretId'],
    secretId: ['roleId'],
    appRoleMount: ['roleId'],
    jwtFile: ['role'],
    kubernetesMount: ['role'],
  },
};

/** `vault` in `kms.json`: the Transit engine of HashiCorp Vault or OpenBao. */
export const vaultProviderType: KmsProviderType = Object.freeze({ type: 'vault', schema, create });

/** The entry fits the schema, so its members are of the types that the options have. */
function create(entry: ProviderEntry, { logger }: ProviderServices): KmsProvider {
  const { vaultToken, tokenFile, roleId, secretId, appRoleMount, role, jwtFile, kubernetesMount, ...rest } =
    entry as ProviderEntry & Readonly<Record<string, string | undefined>>;
  const ways: readonly (VaultAuth | undefined)[] = [
    vaultToken === undefined ? undefined : { token: vaultToken },
    tokenFile === undefined ? undefined : { tokenFile },
    roleId === undefined ? undefined : { appRole: { roleId, secretId: secretId as string, mount: appRoleMount } },
    role === undefined ? undefined : { kubernetes: { role, jwtFile, mount: kubernetesMount } },
  ];
  const [auth, ...others] = ways.filter((way) => way !== undefined);
  if (auth === undefined || others.length > 0) {
    const received = auth === undefined ? 'none' : `${others.length + 1}`;
    throw invalidArgument('vaultToken', 'one of vaultToken, tokenFile, roleId and role', received);
  }
  return vaultProvider({ ...(rest as unknown as VaultProviderOptions), auth, logger });
}
