import type { KmsProviderType, ProviderEntry, ProviderSchema } from '@keywright/kms';
import type { Pkcs11ProviderOptions } from './options.ts';
import { pkcs11Provider } from './provider.ts';

const text = (description: string): object => ({ type: 'string', minLength: 1, description });
const integer = (minimum: number, maximum: number, byDefault: number | undefined, description: string): object => ({
  type: 'integer',
  minimum,
  maximum,
  ...(byDefault === undefined ? {} : { default: byDefault }),
  description,
});
const secret = (description: string): object => ({ ...text(description), writeOnly: true });
const MAX_MS = 2 ** 31 - 1;

const schema: ProviderSchema = {
  type: 'object',
  properties: {
    library: { ...text('Absolute path of the vendor’s PKCS #11 library.'), pattern: '^(?:/|[A-Za-z]:[\\\\/])' },
    slot: {
      description: 'The token: its position in the list of slots with a token, or its label.',
      oneOf: [integer(0, 0xffff, undefined, 'Position, from 0.'), text('Label of the token.')],
    },
    slotId: integer(0, Number.MAX_SAFE_INTEGER, undefined, 'The token by the number of its slot (CK_SLOT_ID).'),
    serial: text('The token by its serial number.'),
    // It may hold the PIN.
    uri: secret('The token by a PKCS #11 URI (RFC 7512).'),
    pin: secret('PIN of the token’s user.'),
    readOnly: {
      type: 'boolean',
      default: false,
      description: 'Whether sessions are opened without the right to make and delete keys.',
    },
    libraryParameters: text('What the library wants at its start, as NSS does.'),
    sessions: integer(1, 1_024, 4, 'Calls that are in the token at once.'),
    maxWaiting: integer(1, 1_000_000, 1_024, 'Calls that wait for a session; more are refused.'),
    timeoutMs: integer(1, MAX_MS, 10_000, 'Longest that a call may take, in milliseconds.'),
    publicKeyTtlMs: integer(1, MAX_MS, 300_000, 'How long a public key is taken from memory, in milliseconds.'),
  },
  required: ['library'],
  oneOf: [{ required: ['slot'] }, { required: ['slotId'] }, { required: ['serial'] }, { required: ['uri'] }],
  anyOf: [{ required: ['pin'] }, { required: ['uri'] }],
};

/** `pkcs11` in `kms.json`: an HSM or another token. */
export const pkcs11ProviderType: KmsProviderType = Object.freeze({
  type: 'pkcs11',
  schema,
  // The entry fits the schema, so it is options with two members more.
  create: (entry: ProviderEntry) => pkcs11Provider(entry as unknown as Pkcs11ProviderOptions),
});
