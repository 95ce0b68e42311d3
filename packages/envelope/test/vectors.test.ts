import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createKeyring } from '@keywright/envelope';
import { decryptCredentials } from '@keywright/envelope/compat';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { decryptStream } from '@keywright/envelope/stream';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { describe, expect, it } from 'vitest';
import { type VectorFile, vectorProblems } from './check-vectors.ts';
import { decryptV1, decryptV2, decryptV2Bytes, decryptV2Text } from './interop/independent.ts';
import { openStream } from './interop/independent-stream.ts';

const folder = new URL('./vectors/', import.meta.url);
const { xchacha20Poly1305: xchachaBySodium, secretbox } = await loadLibsodium();

const implementation = { createKeyring, decryptStream, suites: [xchacha20Poly1305, secretbox] };

/** How many vectors each file holds: none is lost, and none is passed over. */
const COUNTS: readonly [string, number][] = [
  ['v1', 16],
  ['v2-object', 64],
  ['v2-text', 40],
  ['v2-bytes', 32],
  ['v2-xc20p-object', 64],
  ['v2-xc20p-text', 40],
  ['v2-xc20p-bytes', 32],
  ['v2-xs20p-object', 64],
  ['v2-xs20p-text', 40],
  ['v2-xs20p-bytes', 32],
  ['v2-steps', 36],
  ['check-values', 2],
  ['macs', 10],
  ['errors', 209],
  ['v2-stream', 18],
  ['stream-errors', 57],
];

function read(name: string): VectorFile {
  return JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as VectorFile;
}

describe('frozen vectors', () => {
  it.each(COUNTS)('%s hold: %i', async (name, count) => {
    expect(await vectorProblems(name, read(name), implementation)).toEqual([]);
    expect(read(name).vectors).toHaveLength(count);
  });

  it.each(['v2-xc20p-object', 'v2-xc20p-text', 'v2-xc20p-bytes', 'errors', 'v2-stream'])(
    '%s hold with libsodium too',
    async (name) => {
      expect(
        await vectorProblems(name, read(name), { ...implementation, suites: [xchachaBySodium, secretbox] }),
      ).toEqual([]);
    },
  );

  it('of version 1 open with the functions for compatibility', () => {
    const { keys, vectors } = read('v1');
    const keyring = createKeyring({ keys, activeKid: 'v1' });
    for (const { value, envelope } of vectors) expect(decryptCredentials<unknown>(envelope, keyring)).toEqual(value);
  });

  it('that are to be refused are refused by an independent implementation, whichever key it tries', () => {
    const { keys, vectors } = read('errors');
    for (const { form, envelope, context = {}, reader, what } of vectors) {
      if (reader !== undefined) continue;
      for (const key of Object.values(keys)) {
        expect(() => openIndependently(form, Buffer.from(key, 'hex'), envelope as never, context), what).toThrow();
      }
    }
  });

  it('of streams that are to be refused are refused by an independent implementation', () => {
    const { keys, vectors } = read('stream-errors');
    for (const { envelope, context = {}, reader, what } of vectors) {
      if (reader !== undefined) continue;
      for (const [kid, key] of Object.entries(keys)) {
        const open = () => openStream(Buffer.from(key, 'hex'), kid, context, Buffer.from(envelope as string, 'hex'));
        expect(open, what).toThrow();
      }
    }
  });

  it('are these files, byte for byte as they were published', () => {
    const sums = readdirSync(folder).filter((file) => file.endsWith('.json'));
    const lines = sums.sort().map((file) => {
      const digest = createHash('sha256').update(readFileSync(new URL(file, folder)));
      return `${digest.digest('hex')}  ${file}\n`;
    });
    expect(lines.join('')).toBe(readFileSync(new URL('SHA256SUMS', folder), 'utf8'));
    expect(sums.map((file) => file.replace('.json', ''))).toEqual(COUNTS.map(([name]) => name).sort());
  });
});

function openIndependently(
  form: string | undefined,
  key: Uint8Array,
  envelope: never,
  context: Readonly<Record<string, string>>,
): unknown {
  if (form === 'text') return decryptV2Text(key, envelope, context);
  if (form === 'bytes') return decryptV2Bytes(key, Buffer.from(envelope, 'hex'), context);
  return (envelope as { __enc: unknown }).__enc === 1 ? decryptV1(key, envelope) : decryptV2(key, envelope, context);
}
