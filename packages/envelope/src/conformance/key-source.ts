import { randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type KeyMaterial, type KeySource, loadKeyring } from '../sources/index.ts';

/** What a source can meet. */
export type KeySourceCondition =
  /** Holds one key, as a single key. */
  | 'single'
  /** Holds two keys, the second of which is active. */
  | 'rotation'
  /** Holds a key of another length. */
  | 'wrong-length'
  /** Holds a text that is no key and no JSON of keys. */
  | 'malformed'
  /** Holds JSON in which one kid has two keys. */
  | 'duplicate-kid'
  /** Holds nothing under this name. */
  | 'not-found'
  /** Refuses the identity. */
  | 'denied'
  /** Nobody listens at its address. */
  | 'unreachable'
  /** Takes the request and never answers. */
  | 'silent'
  /** Answers with far more than any key, without end if it can. */
  | 'oversized';

const CONDITIONS = [
  'single',
  'rotation',
  'wrong-length',
  'malformed',
  'duplicate-kid',
  'not-found',
  'denied',
  'unreachable',
  'silent',
  'oversized',
] as const satisfies readonly KeySourceCondition[];

/** The content to store, made anew for every test, so that it can be searched for. */
export interface KeySourceContent {
  /** The text of the secret. */
  readonly text: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
}

/** A source in a condition. */
export interface PreparedKeySource {
  readonly source: KeySource;
  /** What a load gives, where the source derives keys instead of storing them. @default the content's */
  readonly expected?: { readonly keys: Readonly<Record<string, Uint8Array>>; readonly activeKid: string };
  /** More that may not show in an error: tokens, passphrases. */
  readonly secrets?: readonly string[];
  /** What was logged so far. */
  readonly logged?: () => string;
  /** Undoes the condition. */
  dispose?(): Promise<void> | void;
}

export interface KeySourceHarness {
  /** Conditions that this source cannot meet, each with the reason. Every other one must be prepared. */
  readonly impossible: Readonly<Partial<Record<KeySourceCondition, string>>>;
  /** Puts a source, with a time limit of `timeoutMs`, into a condition. */
  prepare(condition: KeySourceCondition, content: KeySourceContent, timeoutMs: number): Promise<PreparedKeySource>;
}

const TIMEOUT_MS = 1_000;
const GENEROUS_MS = 15_000;
/** What a load may take beyond its time limit on a busy machine. */
const SLACK_MS = 4_000;

const CODES: Readonly<Partial<Record<KeySourceCondition, string>>> = {
  'wrong-length': 'ERR_KEYRING_KEY_INVALID',
  'duplicate-kid': 'ERR_KEYRING_KID_DUPLICATE',
  'not-found': 'ERR_KEY_SOURCE_NOT_FOUND',
  denied: 'ERR_KEY_SOURCE_DENIED',
  unreachable: 'ERR_KEY_SOURCE_UNREACHABLE',
  oversized: 'ERR_KEY_SOURCE_TOO_LARGE',
};

/**
 * What every {@link KeySource} must do, as vitest tests. The conditions that a source cannot meet are listed in the
 * title of a test, with their reasons.
 *
 * @example
 * ```ts
 * import { keySourceConformance } from '@keywright/envelope/conformance';
 * import { envSource } from '@keywright/envelope/sources';
 *
 * const local = 'reads variables of this process';
 * keySourceConformance('env', {
 *   impossible: { 'not-found': local, denied: local, unreachable: local, silent: local, oversized: local, malformed: local },
 *   async prepare(condition, content) {
 *     const { keys, activeKid, text } = content;
 *     const single = condition === 'single' || condition === 'wrong-length';
 *     const map = condition === 'duplicate-kid' ? text.slice(text.indexOf('"keys":') + 7, -1) : JSON.stringify(keys);
 *     const env = single ? { KEYWRIGHT_KEY: text } : { KEYWRIGHT_KEYS: map, KEYWRIGHT_ACTIVE_KID: activeKid };
 *     return { source: envSource({ env }) };
 *   },
 * });
 * ```
 */
export function keySourceConformance(name: string, harness: KeySourceHarness): void {
  const { impossible } = harness;
  const possible = (condition: KeySourceCondition): boolean => impossible[condition] === undefined;

  /** Runs `test` on a source in a condition, and undoes it. */
  const on = async (
    condition: KeySourceCondition,
    test: (prepared: PreparedKeySource, content: KeySourceContent) => Promise<void>,
    timeoutMs: number = GENEROUS_MS,
  ): Promise<void> => {
    const content = contentFor(condition);
    const prepared = await harness.prepare(condition, content, timeoutMs);
    try {
      await test(prepared, content);
    } finally {
      await prepared.dispose?.();
    }
  };

  describe(`key source ${name}`, () => {
    const listed = Object.entries(impossible).map(([condition, reason]) => `${condition} (${reason})`);
    it(`cannot meet: ${listed.join('; ') || 'nothing, it is tested in every condition'}`, () => {
      for (const [condition, reason] of Object.entries(impossible)) {
        expect(CONDITIONS).toContain(condition);
        expect(reason).not.toBe('');
      }
      expect(possible('single')).toBe(true);
    });

    it.each(CONDITIONS.filter((condition) => condition === 'single' || condition === 'rotation').filter(possible))(
      'loads keys: %s',
      async (condition) => {
        await on(condition, async ({ source, expected }, content) => {
          const wanted = expected ?? { keys: decoded(content.keys), activeKid: content.activeKid };
          const material = await source.load();
          expect(material.activeKid).toBe(wanted.activeKid);
          expect(bytesOf(material)).toEqual(hexOf(wanted.keys));
          const keyring = await loadKeyring(source);
          expect(keyring.activeKid).toBe(wanted.activeKid);
          expect([...keyring.kids].sort()).toEqual(Object.keys(wanted.keys).sort());
        });
      },
    );

    it('shows no key when the source or what it loaded is shown', async () => {
      await on('single', async ({ source, secrets = [] }, content) => {
        const material = await source.load();
        const hidden = [...Object.values(content.keys), ...Object.values(bytesOf(material)), ...secrets];
        for (const shown of [source, material]) expectHidden(reveal(shown), hidden);
      });
    });

    it.each(CONDITIONS.filter((condition) => CODES[condition] !== undefined).filter(possible))(
      'refuses by name and without a word of a secret: %s',
      async (condition) => {
        await on(condition, async ({ source, secrets = [], logged }, content) => {
          const error = await failure(source.load());
          const retryable = condition === 'unreachable';
          expect(error).toMatchObject({ code: CODES[condition], retryable, context: { driver: source.name } });
          expectHidden(reveal(error) + (logged?.() ?? ''), [...Object.values(content.keys), content.text, ...secrets]);
        });
      },
    );

    if (possible('malformed')) {
      it('refuses by name and without a word of a secret: malformed', async () => {
        await on('malformed', async ({ source, secrets = [], logged }, content) => {
          const error = await failure(source.load());
          expect(['ERR_KEYRING_KEY_INVALID', 'ERR_KEY_SOURCE_CONTENT_INVALID', 'ERR_KEYRING_ENV_INVALID']).toContain(
            (error as { code?: unknown }).code,
          );
          expectHidden(reveal(error) + (logged?.() ?? ''), [content.text, ...secrets]);
        });
      });
    }

    if (possible('silent')) {
      it('gives up on a server that never answers, in time', async () => {
        await on(
          'silent',
          async ({ source }) => {
            const start = performance.now();
            const error = await failure(source.load());
            expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_TIMEOUT', retryable: true });
            expect(performance.now() - start).toBeLessThan(TIMEOUT_MS + SLACK_MS);
          },
          TIMEOUT_MS,
        );
      });
    }

    if (possible('silent')) {
      it('stops at once when it is told to', async () => {
        await on('silent', async ({ source }) => {
          const stop = new AbortController();
          const start = performance.now();
          const load = failure(source.load({ signal: stop.signal }));
          setTimeout(() => stop.abort(), 200);
          expect(await load).toMatchObject({ code: 'ERR_KEY_SOURCE_ABORTED', retryable: false });
          expect(performance.now() - start).toBeLessThan(200 + SLACK_MS);
        });
      });
    }

    it('leaves no listener on a signal that lives longer, however the load ends', async () => {
      const { signal } = new AbortController();
      await on('single', async ({ source }) => void (await source.load({ signal })));
      await on('wrong-length', async ({ source }) => void (await source.load({ signal }).catch(() => undefined)));
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    });

    it('does not begin when it was told to stop before', async () => {
      await on('single', async ({ source }) => {
        const error = await failure(source.load({ signal: AbortSignal.abort() }));
        expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_ABORTED', context: { driver: source.name } });
      });
    });
  });
}

function contentFor(condition: KeySourceCondition): KeySourceContent {
  const [first, second] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
  const keys = { v1: first, v2: second };
  switch (condition) {
    case 'rotation':
      return { text: JSON.stringify({ activeKid: 'v2', keys }), keys, activeKid: 'v2' };
    case 'duplicate-kid':
      return { text: `{"activeKid":"v1","keys":{"v1":"${first}","\\u00761":"${second}"}}`, keys, activeKid: 'v1' };
    case 'wrong-length': {
      const short = randomBytes(24).toString('base64');
      return { text: short, keys: { v1: short }, activeKid: 'v1' };
    }
    case 'malformed': {
      const text = `{"password": ${randomBytes(32).toString('base64')}`;
      return { text, keys: {}, activeKid: 'v1' };
    }
    default:
      return { text: first, keys: { v1: first }, activeKid: 'v1' };
  }
}

async function failure(load: Promise<unknown>): Promise<Error> {
  const error = await load.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'the load must fail').toBeInstanceOf(Error);
  return error as Error;
}

function decoded(keys: Readonly<Record<string, string>>): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(keys).map(([kid, key]) => [kid, Buffer.from(key, 'base64')]));
}

function hexOf(keys: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  return Object.fromEntries(Object.entries(keys).map(([kid, key]) => [kid, Buffer.from(key).toString('hex')]));
}

function bytesOf(material: KeyMaterial): Record<string, string> {
  const decode = (key: string | Uint8Array): Uint8Array =>
    typeof key === 'string' ? Buffer.from(key, key.length === 64 ? 'hex' : 'base64') : key;
  return hexOf(Object.fromEntries(Object.entries(material.keys).map(([kid, key]) => [kid, decode(key)])));
}

function reveal(value: unknown): string {
  const stack = value instanceof Error ? [value.message, value.stack, inspect(value.cause, { showHidden: true })] : [];
  return [
    inspect(value, { depth: 20, showHidden: true, getters: true }),
    JSON.stringify(value),
    String(value),
    ...stack,
  ].join('\n');
}

function expectHidden(shown: string, secrets: readonly string[]): void {
  const compact = shown.replace(/\s/g, '').toLowerCase();
  for (const secret of secrets.filter((text) => text !== '')) {
    expect(shown.includes(secret), 'a secret shows').toBe(false);
    const bytes = Buffer.from(secret, /^[0-9a-f]{64}$/.test(secret) ? 'hex' : 'base64');
    if (bytes.length < 16) continue;
    // However a few of the bytes would be printed: hex, the numbers of an array, base64 without its padding.
    const start = bytes.subarray(0, 12);
    for (const form of [start.toString('hex'), start.join(','), start.toString('base64').toLowerCase()]) {
      expect(compact.includes(form), 'the bytes of a secret show').toBe(false);
    }
  }
}
