import { SIGN_ALGS } from '../../algorithms.ts';
import type { KmsProviderType, ProviderEntry, ProviderSchema } from '../../provider-type.ts';
import type { HttpProviderOptions } from './options.ts';
import { httpProvider } from './provider.ts';

const text = (description: string): object => ({ type: 'string', minLength: 1, description });
const secret = (description: string): object => ({ ...text(description), writeOnly: true });
const flag = (description: string): object => ({ type: 'boolean', default: false, description });
const milliseconds = (byDefault: number, description: string): object => ({
  type: 'integer',
  minimum: 1,
  maximum: 2 ** 31 - 1,
  default: byDefault,
  description,
});
const path = (byDefault: string, description: string): object => ({ ...text(description), default: byDefault });

const schema: ProviderSchema = {
  type: 'object',
  properties: {
    baseUrl: text('Address of the service: https, or http to this machine.'),
    apiKey: secret('Bearer token, sent with every request. Either this or oauth.'),
    oauth: {
      type: 'object',
      description: 'Bearer tokens by the client credentials grant.',
      properties: {
        tokenUrl: text('Token endpoint: https, or http to this machine.'),
        clientId: text('Id of the client.'),
        clientSecret: secret('Secret of the client.'),
        scope: text('Scopes to ask for, with spaces between.'),
        audience: text('Sent as audience, which some servers want.'),
        clientAuth: {
          enum: ['client_secret_basic', 'client_secret_post'],
          default: 'client_secret_basic',
          description: 'Where the secret is sent.',
        },
      },
      required: ['tokenUrl', 'clientId', 'clientSecret'],
      additionalProperties: false,
    },
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
    keysPath: path('/keys', 'Path of the keys below baseUrl.'),
    healthPath: path('/health', 'Path of the health check below baseUrl.'),
    canImport: flag('Whether the service takes private keys over.'),
    canList: flag('Whether the service lists its keys.'),
    algs: {
      type: 'array',
      items: { enum: [...SIGN_ALGS] },
      minItems: 1,
      uniqueItems: true,
      default: ['ES256'],
      description: 'Algorithms that the service makes keys for; the first is the default.',
    },
    verifySignatures: flag('Whether each signature is verified before it is given out.'),
    allowHttp: flag('Whether http:// to another machine is accepted.'),
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
  required: ['baseUrl'],
};

/** `http` in `kms.json`: a service of the host's own. */
export const httpProviderType: KmsProviderType = Object.freeze({
  type: 'http',
  schema,
  // The entry fits the schema, so it is options with three members more.
  create: (entry: ProviderEntry) => httpProvider(entry as unknown as HttpProviderOptions),
});
