import { masterSecretSource } from '@keywright/envelope/sources';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, it, vi } from 'vitest';
import { keySourceConformance, type PreparedKeySource } from '../../src/conformance/key-source.ts';
import { rejection, shown } from './support.ts';

const SECRET = 'canary-master-secret-0123456789abcdef';
const env = { NODE_ENV: 'development' };
const derived = 'derives its key and stores none';
const local = 'computes, and asks nobody';
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function silence(): { info(): void; error(): void; warn: (message: string) => void } {
  return { info() {}, error() {}, warn: vi.fn() };
}

keySourceConformance('master-secret', {
  impossible: {
    rotation: derived,
    'wrong-length': derived,
    malformed: derived,
    'duplicate-kid': derived,
    'not-found': local,
    denied: local,
    unreachable: local,
    silent: local,
    oversized: local,
  },
  async prepare(): Promise<PreparedKeySource> {
    const key = hkdf(sha256, text(SECRET), text('keywright/master-secret'), text('keywright/1/v1'), 32);
    const source = masterSecretSource({ secret: SECRET, env, logger: silence() });
    return { source, secrets: [SECRET], expected: { keys: { v1: key }, activeKid: 'v1' } };
  },
});

describe('a key from a master secret', () => {
  it('is what HKDF gives for the hash, salt and info that are asked for', async () => {
    const expected = hkdf(sha512, text(SECRET), text('salt'), text('info'), 32);
    const source = masterSecretSource({
      secret: SECRET,
      hash: 'sha512',
      salt: 'salt',
      info: 'info',
      env,
      logger: silence(),
    });
    expect(Buffer.from((await source.load()).keys.v1 as Uint8Array)).toEqual(Buffer.from(expected));
  });

  it('is another for another kid', async () => {
    const load = async (kid: string): Promise<Uint8Array> => {
      const { keys } = await masterSecretSource({ secret: SECRET, kid, env, logger: silence() }).load();
      return Buffer.from(keys[kid] as Uint8Array);
    };
    expect(await load('v1')).not.toEqual(await load('v2'));
  });

  it('warns at every load, through the logger or else the process', async () => {
    const logger = silence();
    const source = masterSecretSource({ secret: SECRET, env, logger });
    await source.load();
    await source.load();
    expect(logger.warn).toHaveBeenCalledTimes(2);
    expect(logger.warn).toHaveBeenCalledWith(expect.stringContaining('development'));
    const emitted = vi.spyOn(process, 'emitWarning').mockReturnValue();
    await masterSecretSource({ secret: SECRET, env }).load();
    expect(emitted).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('development'), {
      code: 'KEYWRIGHT_MASTER_SECRET',
    });
    emitted.mockRestore();
  });

  it('is refused in production, unless that is allowed', async () => {
    const production = { secret: SECRET, env: { NODE_ENV: 'production' }, logger: silence() };
    const error = await rejection(masterSecretSource(production).load());
    expect(error.code).toBe('ERR_KEY_SOURCE_NOT_FOR_PRODUCTION');
    expect((await masterSecretSource({ ...production, allowInProduction: true }).load()).activeKid).toBe('v1');
  });

  it('takes no lone surrogate, which HKDF would take for another character', async () => {
    for (const argument of ['secret', 'salt', 'info']) {
      const options = { secret: SECRET, [argument]: `${SECRET}\ud800` };
      const error = await rejection((async () => masterSecretSource(options))());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument } });
      expect(shown(error)).not.toContain('canary');
    }
  });

  it('needs a secret of 32 characters', async () => {
    for (const secret of ['canary', SECRET.slice(0, 31), '', undefined, 7]) {
      const error = await rejection((async () => masterSecretSource({ secret: secret as string }))());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument: 'secret' } });
      expect(shown(error)).not.toContain('canary');
    }
  });
});
