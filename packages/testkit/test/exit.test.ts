import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';

const PROGRAM = join(import.meta.dirname, 'fixtures', 'leave.ts');

interface Ending {
  readonly way: string;
  readonly signal?: NodeJS.Signals;
  readonly code?: number;
  readonly servers?: number;
}

describe.concurrent('a process that does not stop its servers', { timeout: 60_000 }, () => {
  it.for<Ending>([
    { way: 'come to its end', code: 4 },
    { way: 'exit', code: 3 },
    { way: 'throw', code: 1 },
    { way: 'wait for SIGTERM', signal: 'SIGTERM', servers: 2 },
    { way: 'wait for SIGINT', signal: 'SIGINT' },
    // A listener of the program's own decides how the process ends.
    { way: 'listen for SIGTERM', signal: 'SIGTERM', code: 5 },
  ])('leaves nothing behind: $way', async ({ way, servers = 1, ...end }, { onTestFinished }) => {
    const { KEYWRIGHT_TEST_PG_URL: _, ...env } = process.env;
    const child = spawn(process.execPath, [PROGRAM, way, String(servers)], {
      env,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill());
    const exited = once(child, 'exit');
    const folders = await foldersFrom(child);
    if (end.signal !== undefined) {
      expect(folders.map(processesOf)).not.toContainEqual([]);
      child.kill(end.signal);
    }

    expect(await exited).toEqual(end.code === undefined ? [null, end.signal] : [end.code, null]);
    expect(folders).toHaveLength(servers);
    expect(folders.map(processesOf)).toEqual(folders.map(() => []));
    expect(folders.filter((folder) => existsSync(dirname(folder)))).toEqual([]);
  });
});

async function foldersFrom(child: ChildProcess): Promise<string[]> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line) as string[];
}

/** The command lines that name a folder. A zombie has none: it waits for its reaper only. */
function processesOf(folder: string): string[] {
  // ps is missing from slim containers, /proc from macOS.
  const commands = existsSync('/proc/self/cmdline')
    ? readdirSync('/proc').map((pid) => read(`/proc/${pid}/cmdline`))
    : spawnSync('ps', ['-A', '-ww', '-o', 'args='], { encoding: 'utf8' }).stdout.split('\n');
  return commands.filter((command) => command.includes(folder));
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // not a process, or not any more
  }
}
