// Compiled by `pnpm typecheck`: what must not compile is marked, and an unmarked error or an unused mark fails.
import { createKeyring, type Envelope, type JsonValue, type KeyWrapper, keyringFromEnv } from '@keywright/envelope';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { encryptStream } from '@keywright/envelope/stream';

interface Credentials {
  readonly apiKey: string;
}

const keyring = keyringFromEnv();
const credentials: Credentials = { apiKey: 'sk_test_1' };
const envelope: Envelope = keyring.encrypt(credentials, { context: { tenant: 'acme' } });
const value: JsonValue = keyring.decrypt(envelope, { context: {} });
const wrapper: KeyWrapper = keyring;
const legacy: Credentials = decryptCredentials<Credentials>(encryptCredentials(credentials, keyring), keyring);

// An option that is not set may be passed as undefined.
createKeyring({
  keys: {},
  activeKid: 'v1',
  v1Uses: undefined,
  onV1Use: undefined,
  logger: undefined,
  suite: undefined,
});
encryptStream(keyring, { context: {}, chunkBytes: undefined });

// @ts-expect-error the context is mandatory
keyring.encrypt(credentials);
// @ts-expect-error an empty context is written out
keyring.encrypt(credentials, {});
// @ts-expect-error context values are strings
keyring.encrypt(credentials, { context: { id: 42 } });
// @ts-expect-error undefined is not JSON
keyring.encrypt(undefined, { context: {} });
// @ts-expect-error bigint is not JSON
keyring.encrypt(1n, { context: {} });
// @ts-expect-error text is not bytes
keyring.encryptBytes('text', { context: {} });
// @ts-expect-error the active key is named
createKeyring({ keys: {} });
// @ts-expect-error an envelope is read-only
envelope.kid = 'v2';
// @ts-expect-error the active key is changed by activate()
keyring.activeKid = 'v2';

export { legacy, value, wrapper };
