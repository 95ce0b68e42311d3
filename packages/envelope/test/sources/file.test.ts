import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyBase64 } from '@keywright/envelope';
import { fileSource } from '@keywright/envelope/sources';
import { afterAll, describe, expect, it } from 'vitest';
import { keySourceConformance } from '../../src/conformance/key-source.ts';
import { rejection } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'keywright-file-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function keyFile(text = generateKeyBase64(), mode = 0o600): string {
  const path = join(folder, `key-${count++}`);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

keySourceConformance('file', {
  impossible: {
    unreachable: 'a file is local',
    silent: 'a regular file answers',
    denied: 'root, whom tests may run as, is denied nothing; see below for permissions',
  },
  async prepare(condition, { text }) {
    if (condition === 'not-found') return { source: fileSource(join(folder, 'nothing')) };
    return { source: fileSource(keyFile(condition === 'oversized' ? text.repeat(4096) : `${text}\n`)) };
  },
});

describe('a key file', () => {
  it.each([0o644, 0o640, 0o660, 0o604, 0o601, 0o620])('of mode %o is refused', async (mode) => {
    const error = await rejection(fileSource(keyFile(undefined, mode)).load());
    const received = `mode 0${mode.toString(8)}`;
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_FILE_PERMISSIONS', context: { driver: 'file', received } });
    expect(error.message).toContain('defaultMode: 0400');
  });

  it.each([0o600, 0o400])('of mode %o is taken', async (mode) => {
    expect((await fileSource(keyFile(undefined, mode)).load()).activeKid).toBe('v1');
  });

  it('may be read by its group, and no more, where that is allowed', async () => {
    const options = { allowGroupRead: true };
    expect((await fileSource(keyFile(undefined, 0o440), options).load()).activeKid).toBe('v1');
    for (const mode of [0o444, 0o460, 0o450, 0o404]) {
      const error = await rejection(fileSource(keyFile(undefined, mode), options).load());
      expect(error.code).toBe('ERR_KEY_SOURCE_FILE_PERMISSIONS');
    }
  });

  it('is checked where a symbolic link leads, as Kubernetes mounts it', async () => {
    const [good, open] = [join(folder, 'good'), join(folder, 'open')];
    symlinkSync(keyFile(), good);
    symlinkSync(keyFile(undefined, 0o644), open);
    expect((await fileSource(good).load()).activeKid).toBe('v1');
    expect((await rejection(fileSource(open).load())).code).toBe('ERR_KEY_SOURCE_FILE_PERMISSIONS');
  });

  it('must be a regular file: no folder, no device, no pipe that nobody writes', async () => {
    const pipe = join(folder, 'pipe');
    expect(spawnSync('mkfifo', ['-m', '600', pipe]).status).toBe(0);
    mkdirSync(join(folder, 'sub'), { mode: 0o700 });
    for (const path of [pipe, join(folder, 'sub'), '/dev/zero']) {
      const error = await rejection(fileSource(path, { timeoutMs: 2_000 }).load());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', context: { argument: 'path' } });
    }
  });

  it('is bounded by what is read and not by what its size says', async () => {
    // Files of /proc say that they are empty. The command line of this child has 100 KiB.
    const script = `
      import { fileSource } from ${JSON.stringify(new URL('../../src/sources/file.ts', import.meta.url).href)};
      import { statSync } from 'node:fs';
      const path = '/proc/self/environ';
      const { size } = statSync(path);
      fileSource(path, { allowGroupRead: true }).load().then(() => {}, (error) => console.log(size, error.code));`;
    const env = { ...process.env, BIG: 'x'.repeat(100_000) };
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { env, encoding: 'utf8' });
    expect(child.stdout.trim()).toBe('0 ERR_KEY_SOURCE_TOO_LARGE');
  });

  // Only root can give a file away.
  if (process.geteuid?.() === 0)
    it('belongs to this user or root', async () => {
      const path = keyFile();
      chownSync(path, 12_345, 12_345);
      const error = await rejection(fileSource(path).load());
      expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_FILE_PERMISSIONS', context: { received: 'another owner' } });
    });

  it('is named by a path that can be one', async () => {
    const error = await rejection(fileSource('/run/key\0').load());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONFIG', retryable: false });
  });

  it('gives its single key the id that is asked for', async () => {
    expect((await fileSource(keyFile(), { kid: '2026-11' }).load()).activeKid).toBe('2026-11');
    expect(() => fileSource(keyFile(), { kid: 'a b' })).toThrow(
      expect.objectContaining({ code: 'ERR_KEYRING_KID_INVALID' }),
    );
  });
});
