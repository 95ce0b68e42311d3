import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import type { Packed } from './tarball.ts';

/** What publint says of the unpacked package. Warnings count as errors; suggestions don't count. */
export async function publintProblems({ path, manifest }: Packed): Promise<string[]> {
  const { messages } = await publint({ pkgDir: path, pack: false, strict: true, level: 'warning' });
  return messages.map((of) => `publint ${of.code}: ${formatMessage(of, { ...manifest }, { color: false })}`);
}

interface AttwProblem {
  readonly kind: string;
  readonly entrypoint?: string;
  readonly resolutionKind?: string;
}

interface AttwOutput {
  readonly analysis: { readonly types: false | object; readonly problems?: readonly AttwProblem[] };
}

/** What `esm-only` leaves out: resolvers that CommonJS and TypeScript's pre-`exports` modes use. */
const ELSEWHERE = new Set(['node10', 'node16-cjs']);

/** Where an importer would see other types than what runs, or none. */
export function attwProblems({ tarball }: Packed): string[] {
  const attw = join(
    dirname(createRequire(import.meta.url).resolve('@arethetypeswrong/cli/package.json')),
    'dist/index.js',
  );
  const args = [attw, tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'json'];
  // To a file: through a pipe, what it prints last is lost when it exits.
  const path = `${tarball}.attw.json`;
  const output = openSync(path, 'w');
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', output, 'pipe'], encoding: 'utf8' });
  closeSync(output);
  const text = readFileSync(path, 'utf8');
  if (!text.startsWith('{')) return [`attw failed: ${stderr || text || `status ${status}`}`];
  const { analysis } = JSON.parse(text) as AttwOutput;
  // Its own exit code is 0 here.
  if (analysis.types === false) return ['attw: the package has no types'];
  const counted = (analysis.problems ?? []).filter(({ resolutionKind }) => !ELSEWHERE.has(resolutionKind ?? ''));
  const problems = counted.map(({ kind, entrypoint, resolutionKind }) =>
    ['attw', kind, entrypoint, resolutionKind].filter((part) => part !== undefined).join(' '),
  );
  return status === 0 || problems.length > 0 ? problems : [`attw failed with status ${status}: ${stderr}`];
}
