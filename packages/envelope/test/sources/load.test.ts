import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyBase64 } from '@keywright/envelope';
import {
  fileSource,
  followKeySource,
  type KeyMaterial,
  type KeySource,
  loadKeyring,
} from '@keywright/envelope/sources';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { rejection } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'keywright-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const path = join(folder, 'keys');
function publish(content: { activeKid: string; keys: Record<string, string> }): void {
  writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

describe('loading a keyring', () => {
  const keys = { v1: generateKeyBase64(), v2: generateKeyBase64() };
  const context = { tenant: 'acme' };

  it('wipes what was loaded once the keyring has it, and not what a source of the host gave', async () => {
    publish({ activeKid: 'v1', keys: { v1: keys.v1 } });
    const inner = fileSource(path);
    const loaded: KeyMaterial[] = [];
    const recording: KeySource = {
      name: 'recording',
      async load(options) {
        const material = await inner.load(options);
        loaded.push(material);
        return material;
      },
    };
    const keyring = await loadKeyring(recording);
    const follower = followKeySource(keyring, recording);
    await follower.reload();
    await follower.close();
    expect(loaded.map(({ keys: { v1 } }) => Buffer.from(v1 as Uint8Array))).toEqual([
      Buffer.alloc(32),
      Buffer.alloc(32),
    ]);
    const own = Buffer.from(keys.v1, 'base64');
    await loadKeyring({ name: 'host', load: async () => ({ keys: { v1: own }, activeKid: 'v1' }) });
    expect(own.toString('base64')).toBe(keys.v1);
  });

  it('hands the options of a keyring and the signal on', async () => {
    publish({ activeKid: 'v1', keys: { v1: keys.v1 } });
    const keyring = await loadKeyring(fileSource(path), { v1Uses: { v1: 7 } });
    expect(keyring.v1Uses('v1')).toBe(7);
    const error = await rejection(loadKeyring(fileSource(path), { signal: AbortSignal.abort() }));
    expect(error.code).toBe('ERR_KEY_SOURCE_ABORTED');
  });

  it('names the source of keys that a keyring refuses, and takes no source that is none', async () => {
    const twice: KeySource = {
      name: 'host',
      load: async () => ({ keys: { v1: keys.v1, v2: keys.v1 }, activeKid: 'v1' }),
    };
    expect(await rejection(loadKeyring(twice))).toMatchObject({
      code: 'ERR_KEYRING_KEY_DUPLICATE',
      context: { driver: 'host', kid: 'v2' },
    });
    for (const source of [undefined, {}, 'vault']) {
      const error = await rejection(loadKeyring(source as KeySource));
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument: 'source' } });
    }
  });

  it('and following a real file rotates in two steps, without a restart', async () => {
    publish({ activeKid: 'v1', keys: { v1: keys.v1 } });
    const [one, two] = [await loadKeyring(fileSource(path)), await loadKeyring(fileSource(path))];
    const options = { intervalMs: 20, activateAfterMs: 40 };
    const followers = [one, two].map((keyring) => followKeySource(keyring, fileSource(path), options));
    publish({ activeKid: 'v1', keys });
    await vi.waitFor(
      () =>
        expect([one.kids, two.kids]).toEqual([
          ['v1', 'v2'],
          ['v1', 'v2'],
        ]),
      5_000,
    );
    expect([one.activeKid, two.activeKid]).toEqual(['v1', 'v1']);
    publish({ activeKid: 'v2', keys });
    await vi.waitFor(() => expect(one.activeKid).toBe('v2'), 5_000);
    const envelope = one.encrypt('x', { context });
    expect(envelope.kid).toBe('v2');
    expect(two.decrypt(envelope, { context })).toBe('x');
    await Promise.all(followers.map((follower) => follower.close()));
  });
});
