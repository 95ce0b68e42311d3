import { createKeyring, generateKeyBase64, type Keyring, type KeyWrapper } from '@keywright/envelope';
import { type KeySource, loadKeyring, wrapKeyMaterial, wrappedSource } from '@keywright/envelope/sources';
import { describe, expect, it } from 'vitest';
import { keySourceConformance, type PreparedKeySource } from '../../src/conformance/key-source.ts';
import { rejection, shown } from './support.ts';

const byWrapper = 'the wrapper finds, reaches and is denied; its own errors come through';

function root(kid = 'root'): Keyring {
  return createKeyring({ keys: { [kid]: generateKeyBase64() }, activeKid: kid });
}

keySourceConformance('wrapped', {
  impossible: { 'not-found': byWrapper, denied: byWrapper },
  async prepare(condition, content, timeoutMs): Promise<PreparedKeySource> {
    const keyring = root();
    const options = { wrapper: keyring, keyring: 'acme', timeoutMs };
    const good = { keys: { v1: generateKeyBase64() }, activeKid: 'v1' };
    const open = (document: string, wrapper: KeyWrapper = keyring): PreparedKeySource => ({
      source: wrappedSource(document, { ...options, wrapper }),
    });
    const failing = (unwrapKey: KeyWrapper['unwrapKey']): KeyWrapper =>
      ({ provider: 'kms', activeKid: 'root', unwrapKey }) as KeyWrapper;
    switch (condition) {
      case 'malformed':
        return open(content.text);
      case 'oversized':
        return open(`${await wrapKeyMaterial(good, options)}${' '.repeat(70_000)}`);
      case 'duplicate-kid': {
        const document = JSON.parse(await wrapKeyMaterial(good, options)) as { keys: { v1: object } };
        const entry = JSON.stringify(document.keys.v1);
        return open(`{"activeKid":"v1","keys":{"v1":${entry},"\\u00761":${entry}}}`);
      }
      case 'wrong-length': {
        const short = Buffer.from(content.text, 'base64');
        const { kid, wrapped } = await keyring.wrapKey(short, {
          context: { kind: 'keyring-key', keyring: 'acme', key: 'v1' },
        });
        const entry = { kid, wrapped: Buffer.from(wrapped).toString('base64') };
        return open(JSON.stringify({ activeKid: 'v1', keys: { v1: entry } }));
      }
      case 'silent':
        return open(
          await wrapKeyMaterial(good, options),
          failing(() => new Promise(() => undefined)),
        );
      case 'unreachable': {
        const refused = Object.assign(new Error(`canary ${content.text}`), { code: 'ECONNREFUSED' });
        return open(
          await wrapKeyMaterial(good, options),
          failing(() => Promise.reject(refused)),
        );
      }
      default:
        return open(await wrapKeyMaterial(content, options));
    }
  },
});

describe('wrapped keys', () => {
  const wrapper = root();
  const material = { keys: { v1: generateKeyBase64(), v2: generateKeyBase64() }, activeKid: 'v2' };
  const options = { wrapper, keyring: 'acme' };
  const parsed = async (): Promise<{ activeKid: string; keys: Record<string, { kid: string; wrapped: string }> }> =>
    JSON.parse(await wrapKeyMaterial(material, options));
  const source = (document: unknown, changed: Partial<typeof options> = {}): KeySource =>
    wrappedSource(JSON.stringify(document), { ...options, ...changed });

  it('lie in a document that shows none of them', async () => {
    const document = await wrapKeyMaterial(material, options);
    for (const key of Object.values(material.keys)) expect(document).not.toContain(key.slice(0, 20));
    expect((await loadKeyring(wrappedSource(async () => document, options))).activeKid).toBe('v2');
  });

  it('that change places do not open', async () => {
    const { activeKid, keys } = await parsed();
    const error = await rejection(source({ activeKid, keys: { v1: keys.v2, v2: keys.v1 } }).load());
    expect(error.code).toBe('ERR_ENVELOPE_DECRYPT');
  });

  it('of one keyring do not open as those of another, nor under another root key', async () => {
    const document = await parsed();
    expect((await rejection(source(document, { keyring: 'other' }).load())).code).toBe('ERR_ENVELOPE_DECRYPT');
    expect((await rejection(source(document, { wrapper: root() }).load())).code).toBe('ERR_ENVELOPE_DECRYPT');
    expect((await rejection(source(document, { wrapper: root('new') }).load())).code).toBe('ERR_KEYRING_KID_UNKNOWN');
  });

  it('are given to the wrapper with the signal of the load', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const recording = {
      provider: 'kms',
      activeKid: 'root',
      unwrapKey: (key, given) => {
        signals.push(given.signal);
        return wrapper.unwrapKey(key, given);
      },
    } as KeyWrapper;
    await wrappedSource(await wrapKeyMaterial(material, options), { wrapper: recording, keyring: 'acme' }).load();
    expect(signals).toEqual([expect.any(AbortSignal), expect.any(AbortSignal)]);
  });

  it("stay the wrapper's: what it hands out is not wiped, and may be wiped by it at once", async () => {
    const document = await wrapKeyMaterial(material, options);
    const given: Uint8Array[] = [];
    const wrapping = (after: (key: Uint8Array) => void): KeyWrapper =>
      ({
        provider: 'kms',
        activeKid: 'root',
        async unwrapKey(key, context) {
          const opened = await wrapper.unwrapKey(key, context);
          given.push(opened);
          after(opened);
          return opened;
        },
      }) as KeyWrapper;
    const hex = (keys: Readonly<Record<string, string | Uint8Array>>, encoding?: 'base64'): string[] =>
      Object.values(keys).map((key) => Buffer.from(key as string, encoding).toString('hex'));

    await wrappedSource(document, { wrapper: wrapping(() => {}), keyring: 'acme' }).load();
    expect(given.map((key) => Buffer.from(key).toString('hex'))).toEqual(hex(material.keys, 'base64'));
    const wiping = wrapping((key) => setImmediate(() => key.fill(0)));
    const slow: KeyWrapper = Object.assign(Object.create(wiping), {
      async unwrapKey(...args: Parameters<KeyWrapper['unwrapKey']>) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        return wiping.unwrapKey(...args);
      },
    });
    const loaded = await wrappedSource(document, { wrapper: slow, keyring: 'acme' }).load();
    expect(hex(loaded.keys)).toEqual(hex(material.keys, 'base64'));
  });

  it.each<[string, (document: Awaited<ReturnType<typeof parsed>>) => unknown, string]>([
    ['an unknown member', (document) => ({ ...document, x: 1 }), 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['no active kid', ({ keys }) => ({ keys }), 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['no keys', ({ activeKid }) => ({ activeKid }), 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['keys in the clear', ({ activeKid }) => ({ activeKid, keys: material.keys }), 'ERR_KEY_SOURCE_CONTENT_INVALID'],
    ['an active kid that is not there', ({ keys }) => ({ activeKid: 'v3', keys }), 'ERR_KEYRING_KID_UNKNOWN'],
    ['no key at all', ({ activeKid }) => ({ activeKid, keys: {} }), 'ERR_KEYRING_KEY_MISSING'],
    [
      'more keys than one would unwrap',
      ({ activeKid, keys }) => ({
        activeKid,
        keys: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, keys.v1])),
      }),
      'ERR_KEY_SOURCE_CONTENT_INVALID',
    ],
  ])('in a document with %s are refused', async (_what, change, code) => {
    const error = await rejection(source(change(await parsed())).load());
    expect(error.code).toBe(code);
    for (const key of Object.values(material.keys)) expect(shown(error)).not.toContain(key);
  });

  it('must be those of a keyring: what it would refuse is not wrapped', async () => {
    const wrap = (changed: object): Promise<unknown> => wrapKeyMaterial({ ...material, ...changed }, options);
    expect((await rejection(wrap({ activeKid: 'v3' }))).code).toBe('ERR_KEYRING_KID_UNKNOWN');
    expect((await rejection(wrap({ keys: { v2: 'short' } }))).code).toBe('ERR_KEYRING_KEY_INVALID');
    expect((await rejection(wrap({ keys: { 'a b': material.keys.v1 } }))).code).toBe('ERR_KEYRING_KID_INVALID');
  });
});
