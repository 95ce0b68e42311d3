import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./envelope.py', import.meta.url));

/** A Python that has `cryptography`, or `undefined`. Debian's own comes first: that is what CI installs it for. */
export function findPython(): string | undefined {
  return ['/usr/bin/python3', 'python3'].find(
    (python) => spawnSync(python, ['-c', 'import cryptography'], { stdio: 'ignore' }).status === 0,
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
