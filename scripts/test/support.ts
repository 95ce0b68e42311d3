import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

export interface Ended {
  readonly status: number | null;
  /** Both streams, standard output first. */
  readonly output: string;
}

/** Writes the files into a new folder that is removed after the test; objects are written as JSON. */
export function folderOf(files: Readonly<Record<string, string | object>>): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'keywright-scripts-')));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  }
  return root;
}

/** Runs a command of `scripts/` as the workspace at `root` would. */
export function runScript(name: string, root: string, ...args: string[]): Ended {
  const script = join(import.meta.dirname, '..', name);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: root, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}
