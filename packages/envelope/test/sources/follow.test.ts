import { inspect } from 'node:util';
import { createKeyring, generateKeyBase64, type Keyring } from '@keywright/envelope';
import {
  type FollowOptions,
  followKeySource,
  type KeyMaterial,
  type KeySource,
  type KeySourceFollower,
} from '@keywright/envelope/sources';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { rejection, shown } from './support.ts';

const [K1, K2, K3] = [generateKeyBase64(), generateKeyBase64(), generateKeyBase64()];
const INTERVAL_MS = 1_000;
/** Longer than one interval with its jitter, shorter than two without. */
const A_LOAD_MS = 1_150;

/** A source whose content the test sets; `undefined` never answers. */
class FakeSource implements KeySource {
  readonly name = 'fake';
  loads = 0;
  content: KeyMaterial | Error | undefined;

  constructor(content: KeyMaterial | Error | undefined) {
    this.content = content;
  }

  async load({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<KeyMaterial> {
    this.loads++;
    const { content } = this;
    if (content instanceof Error) throw content;
    if (content !== undefined) return { ...content };
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
    });
  }
}

describe('a keyring that follows its source', () => {
  let keyring: Keyring;
  let source: FakeSource;
  const open: KeySourceFollower[] = [];
  const follow = (options: FollowOptions = {}): KeySourceFollower => {
    const follower = followKeySource(keyring, source, { intervalMs: INTERVAL_MS, ...options });
    open.push(follower);
    return follower;
  };

  beforeEach(() => {
    vi.useFakeTimers();
    keyring = createKeyring({ keys: { v1: K1 }, activeKid: 'v1' });
    source = new FakeSource({ keys: { v1: K1 }, activeKid: 'v1' });
  });
  afterEach(async () => {
    for (const follower of open.splice(0)) await follower.close();
    vi.useRealTimers();
  });

  it('picks up a new key as decrypt-only, without a restart', async () => {
    const onChange = vi.fn();
    follow({ onChange });
    const writer = createKeyring({ keys: { v1: K1, v2: K2 }, activeKid: 'v2' });
    const envelope = writer.encrypt('x', { context: { a: 'b' } });
    expect(() => keyring.decrypt(envelope, { context: { a: 'b' } })).toThrow();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    await vi.advanceTimersByTimeAsync(A_LOAD_MS);
    expect(keyring.state('v2')).toBe('decrypt-only');
    expect(keyring.decrypt(envelope, { context: { a: 'b' } })).toBe('x');
    expect(onChange).toHaveBeenCalledExactlyOnceWith({
      added: ['v2'],
      activated: undefined,
      pending: undefined,
      missing: [],
    });
  });

  it('activates in the second step what it has known for two intervals', async () => {
    follow();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    await vi.advanceTimersByTimeAsync(A_LOAD_MS + 2 * INTERVAL_MS);
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    await vi.advanceTimersByTimeAsync(A_LOAD_MS);
    expect(keyring.activeKid).toBe('v2');
    expect(keyring.state('v1')).toBe('decrypt-only');
  });

  it('holds a key back that was published as active at once, until the fleet had time to load it', async () => {
    const follower = follow();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    expect(await follower.reload()).toMatchObject({ added: ['v2'], activated: undefined, pending: 'v2' });
    await vi.advanceTimersByTimeAsync(1_900);
    expect(await follower.reload()).toMatchObject({ pending: 'v2' });
    expect(keyring.activeKid).toBe('v1');
    await vi.advanceTimersByTimeAsync(100);
    expect(await follower.reload()).toMatchObject({ activated: 'v2', pending: undefined });
    expect(keyring.activeKid).toBe('v2');
  });

  it('activates at once where it is told to, and goes back to a key that it always had', async () => {
    const follower = follow();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    expect(await follower.reload({ activate: true })).toMatchObject({ added: ['v2'], activated: 'v2' });
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    expect(await follower.reload()).toMatchObject({ activated: 'v1' });
  });

  it('refuses a load in which a kid has other bytes, and changes nothing', async () => {
    const follower = follow();
    source.content = { keys: { v1: K2, v3: K3 }, activeKid: 'v3' };
    const error = await rejection(follower.reload({ activate: true }));
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_KEY_CHANGED', context: { driver: 'fake', kid: 'v1' } });
    expect(keyring.toJSON()).toEqual({ activeKid: 'v1', keys: { v1: 'active' } });
    for (const key of [K1, K2, K3]) expect(shown(error)).not.toContain(key);
  });

  it.each<[string, KeyMaterial, string]>([
    ['a known key under a new kid', { keys: { v1: K1, v2: K2, v3: K1 }, activeKid: 'v1' }, 'ERR_KEYRING_KEY_DUPLICATE'],
    ['only the known key under a new kid', { keys: { v2: K2, v3: K1 }, activeKid: 'v2' }, 'ERR_KEYRING_KEY_DUPLICATE'],
    ['a key of another length', { keys: { v1: K1, v2: K2.slice(4) }, activeKid: 'v1' }, 'ERR_KEYRING_KEY_INVALID'],
    ['an unknown active kid', { keys: { v1: K1, v2: K2 }, activeKid: 'v9' }, 'ERR_KEYRING_KID_UNKNOWN'],
    ['no keys', { keys: {}, activeKid: 'v1' }, 'ERR_KEYRING_KEY_MISSING'],
  ])('refuses a load with %s, and changes nothing', async (_what, content, code) => {
    const follower = follow();
    source.content = content;
    expect(await rejection(follower.reload())).toMatchObject({ code, context: { driver: 'fake' } });
    expect(keyring.kids).toEqual(['v1']);
  });

  it('keeps and reports a key that is gone from the source, once', async () => {
    const onChange = vi.fn();
    const follower = follow({ onChange });
    keyring.add('v0', K3);
    expect(await follower.reload()).toMatchObject({ missing: ['v0'] });
    expect(await follower.reload()).toMatchObject({ missing: ['v0'] });
    expect(onChange).toHaveBeenCalledTimes(1);
    expect(keyring.state('v0')).toBe('decrypt-only');
  });

  it('brings no key back that was disabled or destroyed here', async () => {
    const follower = follow();
    keyring.add('v2', K2);
    keyring.add('v3', K3);
    keyring.disable('v2');
    keyring.destroy('v3');
    source.content = { keys: { v1: K1, v2: K2, v3: K3 }, activeKid: 'v1' };
    expect(await follower.reload()).toMatchObject({ added: [], missing: [] });
    for (const activeKid of ['v2', 'v3']) {
      source.content = { keys: { v1: K1, v2: K2, v3: K3 }, activeKid };
      expect((await rejection(follower.reload({ activate: true }))).code).toBe('ERR_KEYRING_STATE_CONFLICT');
    }
    expect(keyring.toJSON()).toEqual({ activeKid: 'v1', keys: { v1: 'active', v2: 'disabled', v3: 'destroyed' } });
  });

  it('goes on after a load that failed, at the next interval and not earlier', async () => {
    const onError = vi.fn();
    const logger = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    follow({ onError, logger });
    source.content = new Error(`canary ${K1}`);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(source.loads).toBeGreaterThanOrEqual(9);
    expect(source.loads).toBeLessThanOrEqual(11);
    expect(onError).toHaveBeenCalledTimes(source.loads);
    expect(inspect(logger.error.mock.calls)).not.toContain('canary');
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    await vi.advanceTimersByTimeAsync(A_LOAD_MS);
    expect(keyring.kids).toEqual(['v1', 'v2']);
  });

  it('survives listeners that throw', async () => {
    const logger = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const thrower = (): never => {
      throw new Error('canary');
    };
    const follower = follow({ onChange: thrower, onError: thrower, logger });
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    expect(await follower.reload()).toMatchObject({ added: ['v2'] });
    source.content = new Error('down');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(source.loads).toBeGreaterThan(4);
    expect(inspect(logger.error.mock.calls)).not.toContain('canary');
  });

  it('survives a logger that throws: what was loaded counts, and the timer goes on', async () => {
    const thrower = (): never => {
      throw new Error('canary');
    };
    const follower = follow({ logger: { info: thrower, warn: thrower, error: thrower } });
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    expect(await follower.reload()).toMatchObject({ added: ['v2'] });
    source.content = new Error('down');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(source.loads).toBeGreaterThan(4);
  });

  it('survives listeners that reject: an unhandled rejection would end the process', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const rejecter = async (): Promise<never> => {
      throw new Error('canary');
    };
    const logger = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const follower = follow({ onChange: rejecter, onError: rejecter, logger });
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v1' };
    await follower.reload();
    source.content = new Error('down');
    await vi.advanceTimersByTimeAsync(A_LOAD_MS);
    vi.useRealTimers();
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
    expect(logger.error.mock.calls.flat().filter((text) => text.includes('listener'))).toHaveLength(2);
  });

  it('changes nothing where a later key of the load is that of a disabled one', async () => {
    const follower = follow();
    keyring.add('v2', K2);
    keyring.disable('v2');
    source.content = { keys: { v1: K1, v3: K3, v4: K2 }, activeKid: 'v1' };
    const error = await rejection(follower.reload());
    expect(error).toMatchObject({ code: 'ERR_KEYRING_KEY_DUPLICATE', context: { driver: 'fake', kid: 'v4' } });
    expect(keyring.toJSON()).toEqual({ activeKid: 'v1', keys: { v1: 'active', v2: 'disabled' } });
  });

  it('adds the very bytes that it checked, where a source makes them up anew', async () => {
    const follower = follow();
    let reads = 0;
    const keys = {
      v1: K1,
      get v2() {
        return reads++ === 0 ? K2 : K1;
      },
    };
    const load = vi.spyOn(source, 'load').mockResolvedValueOnce({ keys, activeKid: 'v1' });
    expect(await follower.reload()).toMatchObject({ added: ['v2'] });
    expect(load).toHaveBeenCalledTimes(1);
    const envelope = createKeyring({ keys: { v2: K2 }, activeKid: 'v2' }).encrypt('x', { context: {} });
    expect(keyring.decrypt(envelope, { context: {} })).toBe('x');
  });

  it('holds back a key that the host added to this process alone', async () => {
    const follower = follow();
    keyring.add('v2', K2);
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    expect(await follower.reload()).toMatchObject({ added: [], pending: 'v2' });
    await vi.advanceTimersByTimeAsync(2 * INTERVAL_MS);
    expect(await follower.reload()).toMatchObject({ activated: 'v2' });
  });

  it('is closed, whatever a source makes of the signal', async () => {
    vi.spyOn(source, 'load').mockReturnValueOnce(new Promise(() => {}));
    const follower = follow();
    const load = rejection(follower.reload());
    await follower.close();
    expect((await load).code).toBe('ERR_KEY_SOURCE_ABORTED');
  });

  it('may load once a day', async () => {
    follow({ intervalMs: 86_400_000 });
    await vi.advanceTimersByTimeAsync(86_400_000 * 1.11);
    expect(source.loads).toBe(1);
  });

  it.each([undefined, null, 7, { activeKid: 'v1' }, { keys: [], activeKid: 'v1' }])(
    'refuses what is no set of keys, by name: %j',
    async (content) => {
      const follower = follow();
      vi.spyOn(source, 'load').mockResolvedValueOnce(content as never);
      const error = await rejection(follower.reload());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_INVALID_RESPONSE', context: { driver: 'fake' } });
    },
  );

  it('has one load under way at most; who asks meanwhile joins it', async () => {
    const follower = follow();
    source.content = undefined;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(source.loads).toBe(1);
    const joined = rejection(follower.reload());
    await follower.close();
    expect((await joined).code).toBe('ERR_KEY_SOURCE_ABORTED');
    expect(source.loads).toBe(1);
  });

  it('loads after the one under way where it is told to activate', async () => {
    const gate = Promise.withResolvers<KeyMaterial>();
    const load = vi.spyOn(source, 'load').mockReturnValueOnce(gate.promise);
    const follower = follow();
    const first = follower.reload();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    const second = follower.reload({ activate: true });
    gate.resolve({ keys: { v1: K1 }, activeKid: 'v1' });
    expect(await first).toMatchObject({ added: [] });
    expect(await second).toMatchObject({ activated: 'v2' });
    expect(load).toHaveBeenCalledTimes(2);
  });

  it('stops when it is closed: no timer, no load, the keyring as it was', async () => {
    const follower = follow();
    await follower.close();
    source.content = { keys: { v1: K1, v2: K2 }, activeKid: 'v2' };
    await vi.advanceTimersByTimeAsync(10_000);
    expect(source.loads).toBe(0);
    expect((await rejection(follower.reload())).code).toBe('ERR_KEY_SOURCE_ABORTED');
    expect(keyring.kids).toEqual(['v1']);
  });

  it('changes nothing by a load that ends after it was closed', async () => {
    const gate = Promise.withResolvers<KeyMaterial>();
    vi.spyOn(source, 'load').mockReturnValueOnce(gate.promise);
    const follower = follow();
    const load = rejection(follower.reload());
    const closed = follower.close();
    gate.resolve({ keys: { v1: K1, v2: K2 }, activeKid: 'v2' });
    expect((await load).code).toBe('ERR_KEY_SOURCE_ABORTED');
    await closed;
    expect(keyring.kids).toEqual(['v1']);
  });

  it('spreads its loads around the interval', async () => {
    const random = vi.spyOn(Math, 'random');
    for (const [value, first] of [
      [0, 900],
      [0.999_999, 1_099],
    ] as const) {
      random.mockReturnValue(value);
      const before = source.loads;
      const follower = follow();
      await vi.advanceTimersByTimeAsync(first - 1);
      expect(source.loads).toBe(before);
      await vi.advanceTimersByTimeAsync(2);
      expect(source.loads).toBe(before + 1);
      await follower.close();
    }
    random.mockRestore();
  });

  it('keeps no process alive', async () => {
    vi.useRealTimers();
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const follower = follow({ intervalMs: 60_000 });
    expect(timers()).toBe(before); // what is unref'd isn't listed
    await follower.close();
  });

  it.each<[string, FollowOptions]>([
    ['intervalMs', { intervalMs: 0 }],
    ['intervalMs', { intervalMs: Number.NaN }],
    ['activateAfterMs', { activateAfterMs: 2 * INTERVAL_MS - 1 }],
    ['onChange', { onChange: 'canary' as never }],
    ['onError', { onError: {} as never }],
    ['logger', { logger: {} as never }],
  ])('refuses settings that would not be safe: %s of %o', (argument, options) => {
    expect(() => follow(options)).toThrow(
      expect.objectContaining({ code: 'ERR_KEY_SOURCE_CONFIG', context: expect.objectContaining({ argument }) }),
    );
  });

  it('shows no key', async () => {
    const follower = follow();
    await follower.reload();
    const text = inspect(follower, { depth: 9, showHidden: true }) + JSON.stringify(follower);
    expect(text).not.toContain(K1);
  });
});
