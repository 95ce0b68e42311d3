import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createKeyring } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';

const bin = fileURLToPath(new URL('../src/bin/keygen.ts', import.meta.url));

function keygen(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

describe('keywright-keygen', () => {
  it('prints one new key and nothing else', () => {
    const first = keygen();
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect(first.stdout).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(createKeyring({ keys: { k: first.stdout.trim() }, activeKid: 'k' }).activeKid).toBe('k');
    expect(keygen().stdout).not.toBe(first.stdout);
  });

  it('prints a line for a .env file', () => {
    expect(keygen('--env').stdout).toMatch(/^KEYWRIGHT_KEY=[A-Za-z0-9+/]{43}=\n$/);
    expect(keygen('--env', '--prefix', 'CONNECTOR_CRED').stdout).toMatch(/^CONNECTOR_CRED_KEY=/);
  });

  it('explains itself', () => {
    expect(keygen('--help')).toMatchObject({ status: 0, stderr: '' });
    expect(keygen('--help').stdout).toContain('Usage: keywright-keygen');
  });

  it.each([['--bogus'], ['positional'], ['--prefix', 'X'], ['--env', '--prefix', 'a b'], ['--env', '--prefix']])(
    'refuses %s %s with its usage and without a key',
    (...args) => {
      const result = keygen(...args);
      expect(result).toMatchObject({ status: 2, stdout: '' });
      expect(result.stderr).toContain('Usage:');
    },
  );
});
