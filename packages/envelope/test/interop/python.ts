import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./envelope.py', import.meta.url));

/** A Python that has `cryptography` and PyNaCl, or `undefined`. Debian's own comes first: CI installs them for it. */
export function findPython(): string | undefined {
  return ['/usr/bin/python3', 'python3'].find(
    (python) => spawnSync(python, ['-c', 'import cryptography, nacl.bindings'], { stdio: 'ignore' }).status === 0,
  );
}

/** Sends requests to the Python implementation, one line each; answers in the same order. */
export function askPython(python: string, requests: readonly object[]): readonly Answer[] {
  const input = `${requests.map((request) => JSON.stringify(request)).join('\n')}\n`;
  const output = execFileSync(python, [script], { input, maxBuffer: 2 ** 28 }).toString();
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer);
}

export interface Answer {
  readonly ok: boolean;
  readonly value?: unknown;
  readonly envelope?: unknown;
}
