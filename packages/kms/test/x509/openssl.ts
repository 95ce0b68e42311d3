import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The `openssl` of this machine, with files of these contents: an argument `@name` is the file's path. */
export async function openssl(args: readonly string[], files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-x509-'));
  try {
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
    const paths = args.map((arg) => (arg.startsWith('@') ? join(folder, arg.slice(1)) : arg));
    const { stdout, stderr } = await run('openssl', paths);
    return stdout + stderr;
  } finally {
    await rm(folder, { recursive: true });
  }
}
