import { generateKeyBase64, isKeywrightError, keyringFromEnv } from '@keywright/envelope';
import {
  awsSecretsManagerSource,
  awsSsmSource,
  azureKeyVaultSource,
  envSource,
  fileSource,
  followKeySource,
  gcpSecretManagerSource,
  type KeySource,
  keySourceFromEnv,
  loadKeyring,
  makePassphraseParameters,
  masterSecretSource,
  passphraseSource,
  vaultKvSource,
  wrapKeyMaterial,
  wrappedSource,
} from '@keywright/envelope/sources';
import { describe, expect, it } from 'vitest';
import { rejection, shown } from './support.ts';

const env = { KEYWRIGHT_KEY: generateKeyBase64() };
const keyring = keyringFromEnv({ env });
const source = envSource({ env });
const VAULT = 'https://acme.vault.azure.net';
const SECRET = 'projects/acme/secrets/key';
const PASSPHRASE = 'canary battery horse';
const PARAMETERS = '$pbkdf2-sha256$i=600000$AAAAAAAAAAAAAAAAAAAAAA';
const document = '{"activeKid":"v1","keys":{}}';

// biome-ignore lint/suspicious/noExplicitAny: what plain JavaScript passes
type Wrong = any;

const TAKES_OPTIONS: Readonly<Record<string, (options: Wrong) => unknown>> = {
  keyringFromEnv,
  envSource,
  keySourceFromEnv,
  masterSecretSource,
  fileSource: (options) => fileSource('/x', options),
  passphraseSource: (options) => passphraseSource(PASSPHRASE, PARAMETERS, options),
  makePassphraseParameters: (options) => makePassphraseParameters(PASSPHRASE, options),
  vaultKvSource,
  awsSecretsManagerSource: (options) => awsSecretsManagerSource('key', options),
  awsSsmSource: (options) => awsSsmSource('key', options),
  azureKeyVaultSource: (options) => azureKeyVaultSource(VAULT, 'key', options),
  gcpSecretManagerSource: (options) => gcpSecretManagerSource(SECRET, options),
  wrappedSource: (options) => wrappedSource(document, options),
  wrapKeyMaterial: (options) => wrapKeyMaterial({ keys: {}, activeKid: 'v1' }, options),
  'wrapKeyMaterial of': (material) => wrapKeyMaterial(material, { wrapper: keyring, keyring: 'acme' }),
  loadKeyring: (options) => loadKeyring(source, options),
  load: (options) => source.load(options),
  followKeySource: (options) => followKeySource(keyring, source, options),
};

describe('options that are no object', () => {
  it.each(Object.entries(TAKES_OPTIONS))('of %s are refused by name', async (_name, call) => {
    for (const wrong of [null, 7, 'canary', Symbol('canary')]) {
      const error = await rejection((async () => call(wrong))());
      expect(isKeywrightError(error), String(wrong)).toBe(true);
      expect(error.code).toMatch(/^ERR_KEY_SOURCE_CONFIG$|^ERR_KEYRING_INVALID_ARGUMENT$/);
      expect(shown(error)).not.toContain('canary');
    }
  });
});

describe('an option of the wrong type', () => {
  const secret = 'only-for-development-0123456789abcdef';
  it.each<[string, () => unknown]>([
    ['client', () => awsSecretsManagerSource('key', { client: null as Wrong })],
    ['client', () => awsSsmSource('key', { client: {} as Wrong })],
    ['client', () => azureKeyVaultSource(VAULT, 'key', { client: 'canary' as Wrong })],
    ['client', () => gcpSecretManagerSource(SECRET, { client: { initialize() {} } as Wrong })],
    ['credential', () => azureKeyVaultSource(VAULT, 'key', { credential: {} as Wrong })],
    ['version', () => azureKeyVaultSource(VAULT, 'key', { version: '' })],
    ['region', () => awsSsmSource('key', { region: 7 as Wrong })],
    ['clientOptions', () => awsSsmSource('key', { clientOptions: 'canary' as Wrong })],
    ['clientOptions', () => azureKeyVaultSource(VAULT, 'key', { clientOptions: 'canary' as Wrong })],
    ['clientOptions', () => gcpSecretManagerSource(SECRET, { clientOptions: 'canary' as Wrong })],
    ['salt', () => masterSecretSource({ secret, salt: null as Wrong })],
    ['info', () => masterSecretSource({ secret, info: 7 as Wrong })],
    ['logger', () => masterSecretSource({ secret, logger: {} as Wrong })],
    ['wrapper', () => wrappedSource(document, { wrapper: null as Wrong, keyring: 'acme' })],
    ['signal', () => source.load({ signal: {} as Wrong })],
    ['signal', () => source.load({ signal: null as Wrong })],
  ])('is refused by name: %s', async (argument, call) => {
    const error = await rejection((async () => call())());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument } });
    expect(shown(error)).not.toContain('canary');
  });
});

describe('a load', () => {
  /** A source over a client of a host that does what `getSecret` does. */
  const over = (getSecret: () => Promise<Wrong>, timeoutMs = 5_000): KeySource =>
    azureKeyVaultSource(VAULT, 'key', { client: { getSecret }, timeoutMs });

  it('that fails with what throws when it is looked at fails by name', async () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('canary');
        },
      },
    );
    const error = await rejection(over(() => Promise.reject(hostile)).load());
    expect(error.code).toBe('ERR_KEY_SOURCE_INVALID_RESPONSE');
    expect(shown(error)).not.toContain('canary');
  });

  it('that was given up leaves no rejection that nobody handles', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const late = Promise.withResolvers<never>();
    expect((await rejection(over(() => late.promise, 20).load())).code).toBe('ERR_KEY_SOURCE_TIMEOUT');
    late.reject(new Error('too late'));
    await rejection(over(() => late.promise, 20).load({ signal: {} as Wrong }));
    await new Promise((resolve) => setTimeout(resolve, 30));
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});
