import type { KmsProviderType, ProviderEntry, ProviderSchema } from '@keywright/kms';
import type { AwsKmsProviderOptions } from './options.ts';
import { awsKmsProvider } from './provider.ts';

const text = (description: string): object => ({ type: 'string', minLength: 1, description });
const secret = (description: string): object => ({ ...text(description), writeOnly: true });
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
    region: text('Region that the keys are made in, such as eu-central-1.'),
    accessKeyId: text("Id of the access key; without it, the SDK's default chain of credentials."),
    secretAccessKey: secret('The access key itself.'),
    sessionToken: secret('Session token of temporary keys.'),
    endpoint: text('Another address of AWS KMS: https, or http to this machine.'),
    aliasPrefix: text('Keys get an alias too: alias/, this and their name.'),
    tags: {
      type: 'object',
      description: 'More tags for every key, and what the list of keys is narrowed to.',
      additionalProperties: { type: 'string' },
    },
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
  required: ['region'],
  dependentRequired: {
    accessKeyId: ['secretAccessKey'],
    secretAccessKey: ['accessKeyId'],
    sessionToken: ['accessKeyId', 'secretAccessKey'],
  },
};

/** `aws-kms` in `kms.json`: keys in AWS KMS. */
export const awsKmsProviderType: KmsProviderType = Object.freeze({
  type: 'aws-kms',
  schema,
  // The entry fits the schema, so it is options with members more.
  create: (entry: ProviderEntry) => awsKmsProvider(entry as unknown as AwsKmsProviderOptions),
});
