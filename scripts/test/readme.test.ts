import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { markdownBlocks } from '../doc-blocks.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe("the README's sample", () => {
  // Inside the workspace, so that the packages resolve as they do for a user; Node runs no TypeScript in node_modules.
  const folder = join(root, '.cache', `readme-${process.pid}`);

  beforeEach(async () => {
    await mkdir(folder, { recursive: true });
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('is fifteen lines, and runs as it stands', async () => {
    const { blocks } = markdownBlocks('README.md', await readFile(join(root, 'README.md'), 'utf8'));
    const sample = blocks[0]?.code ?? '';
    expect(sample.trimEnd().split('\n')).toHaveLength(15);
    const file = join(folder, 'sample.ts');
    await writeFile(file, sample);
    const env = { PATH: process.env.PATH, KEYWRIGHT_KEY: Buffer.alloc(32, 7).toString('base64') };
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder, env });
    expect(stdout).toContain('sk_test_1');
    expect(await readFile(join(folder, 'app.sqlite'))).not.toContain('sk_test_1');
  });

  it('says what is missing without a key', async () => {
    const { blocks } = markdownBlocks('README.md', await readFile(join(root, 'README.md'), 'utf8'));
    const file = join(folder, 'sample.ts');
    await writeFile(file, blocks[0]?.code ?? '');
    const run = promisify(execFile)(process.execPath, [file], { cwd: folder, env: { PATH: process.env.PATH } });
    const failure = await run.then(
      () => undefined,
      (error: { code: number; stderr: string }) => error,
    );
    expect(failure?.code).toBe(1);
    expect(failure?.stderr).toContain('ERR_KEYRING_KEY_MISSING');
    expect(failure?.stderr).toContain("variable: 'KEYWRIGHT_KEY'");
  });
});
