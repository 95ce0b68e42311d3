import { inspect } from 'node:util';
import { generateKeyBase64, keyringFromEnv } from '@keywright/envelope';
import { keyringFromEnv as compatKeyring } from '@keywright/envelope/compat';
import { describe, expect, it } from 'vitest';
import { CONTEXT, thrown } from './support.ts';

const K1 = generateKeyBase64();
const K2 = generateKeyBase64();

describe.each([
  ['KEYWRIGHT', (env: Record<string, string>) => keyringFromEnv({ env })],
  ['CONNECTOR_CRED', (env: Record<string, string>) => compatKeyring({ env })],
  ['MY_APP', (env: Record<string, string>) => keyringFromEnv({ env, prefix: 'MY_APP' })],
] as const)('%s_… variables', (prefix, open) => {
  const env = (values: Record<string, string>): Record<string, string> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));

  it('give one key, v1 unless it is named', () => {
    expect(open(env({ KEY: K1 })).activeKid).toBe('v1');
    expect(open(env({ KEY: K1, KID: 'prod' })).kids).toEqual(['prod']);
    expect(open(env({ KEY: `${K1}\n` })).activeKid).toBe('v1');
    expect(open(env({ KEY: Buffer.from(K1, 'base64').toString('hex') })).activeKid).toBe('v1');
  });

  it('give a rotation: all keys decrypt, the active one encrypts', () => {
    const old = open(env({ KEY: K1 })).encrypt('x', { context: CONTEXT });
    const keyring = open(env({ KEYS: JSON.stringify({ v1: K1, v2: K2 }), ACTIVE_KID: 'v2' }));
    expect(keyring.encrypt('x', { context: CONTEXT }).kid).toBe('v2');
    expect(keyring.decrypt(old, { context: CONTEXT })).toBe('x');
  });

  it('count as unset when they are empty', () => {
    expect(open(env({ KEY: K1, KEYS: '', ACTIVE_KID: ' ' })).activeKid).toBe('v1');
  });

  it.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'ERR_KEYRING_KEY_MISSING'],
    ['an empty key', { KEY: '' }, 'ERR_KEYRING_KEY_MISSING'],
    ['a kid without a key', { KID: 'v1' }, 'ERR_KEYRING_KEY_MISSING'],
    ['a key that is too short', { KEY: K1.slice(0, 20) }, 'ERR_KEYRING_KEY_INVALID'],
    ['a key that is no base64', { KEY: 'not-a-key!' }, 'ERR_KEYRING_KEY_INVALID'],
    ['a bad kid', { KEY: K1, KID: 'a b' }, 'ERR_KEYRING_KID_INVALID'],
    ['both forms', { KEY: K1, KEYS: JSON.stringify({ v2: K2 }), ACTIVE_KID: 'v2' }, 'ERR_KEYRING_ENV_CONFLICT'],
    ['a kid of the one form in the other', { KEY: K1, ACTIVE_KID: 'v1' }, 'ERR_KEYRING_ENV_CONFLICT'],
    ['a kid of the other form in the one', { KEYS: JSON.stringify({ v2: K2 }), KID: 'v2' }, 'ERR_KEYRING_ENV_CONFLICT'],
    ['a map without an active kid', { KEYS: JSON.stringify({ v1: K1 }) }, 'ERR_KEYRING_ENV_INVALID'],
    ['an active kid without a map', { ACTIVE_KID: 'v1' }, 'ERR_KEYRING_KEY_MISSING'],
    ['a map that is no JSON', { KEYS: `{v1:${K1}}`, ACTIVE_KID: 'v1' }, 'ERR_KEYRING_ENV_INVALID'],
    ['a map that is a list', { KEYS: JSON.stringify([K1]), ACTIVE_KID: '0' }, 'ERR_KEYRING_ENV_INVALID'],
    ['a map of objects', { KEYS: JSON.stringify({ v1: { k: K1 } }), ACTIVE_KID: 'v1' }, 'ERR_KEYRING_ENV_INVALID'],
    ['an empty map', { KEYS: '{}', ACTIVE_KID: 'v1' }, 'ERR_KEYRING_KEY_MISSING'],
    ['an unknown active kid', { KEYS: JSON.stringify({ v1: K1 }), ACTIVE_KID: 'v2' }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['a kid twice', { KEYS: `{"v1":"${K1}","v1":"${K2}"}`, ACTIVE_KID: 'v1' }, 'ERR_KEYRING_KID_DUPLICATE'],
    [
      'a kid twice, once escaped',
      { KEYS: `{"v1":"${K1}","\\u00761":"${K2}"}`, ACTIVE_KID: 'v1' },
      'ERR_KEYRING_KID_DUPLICATE',
    ],
    [
      'a short key in the map',
      { KEYS: JSON.stringify({ v1: K1, v2: 'AAAA' }), ACTIVE_KID: 'v1' },
      'ERR_KEYRING_KEY_INVALID',
    ],
  ])('with %s are refused without a word of the keys', (_what, values, code) => {
    const error = thrown(() => open(env(values)));
    expect(error).toMatchObject({ code, name: 'KeyringError' });
    const shown = inspect(error, { showHidden: true }) + JSON.stringify(error) + error.stack;
    for (const key of [K1, K2]) expect(shown).not.toContain(key);
    if (code === 'ERR_KEYRING_KEY_INVALID') expect(shown).toContain(`${prefix}_KEY`);
    if (code === 'ERR_KEYRING_KEY_MISSING' && !('KEYS' in values)) expect(shown).toContain(`${prefix}_KEY`);
  });
});
