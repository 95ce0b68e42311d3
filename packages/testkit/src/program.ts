import { spawnSync } from 'node:child_process';
import { basename } from 'node:path';
import type { Account } from './binaries.ts';

const TIMEOUT_MS = 90_000;
const OUTPUT_TAIL = 4096;

/** A program that could not be run, or failed. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  /** The end of what it wrote. */
  readonly output: string;

  constructor(message: string, output: string) {
    super(message);
    this.output = output.slice(-OUTPUT_TAIL).trim();
  }
}

/**
 * Runs a program to its end, its working directory `folder`. Messages are English whatever the user's locale.
 * @throws ProgramError
 */
export function run(
  program: string,
  args: readonly string[],
  folder: string,
  account: Account,
  timeout: number = TIMEOUT_MS,
): void {
  const env = { ...process.env, LC_ALL: 'C' };
  const options = { ...account, cwd: folder, env, encoding: 'utf8', timeout } as const;
  const { error, status, signal, stdout, stderr } = spawnSync(program, args, options);
  if (error === undefined && status === 0) return;
  const fate = (error as NodeJS.ErrnoException | undefined)?.code ?? signal ?? `exit code ${status}`;
  throw new ProgramError(`${basename(program)} failed (${fate})`, `${stdout ?? ''}${stderr ?? ''}`);
}
