import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCredentials } from '../src/credentials.ts';
import { openSqlite } from '../src/database.ts';
import { runDemo } from '../src/demo.ts';
import { FalseClaim, Report } from '../src/report.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.url));
const CREDENTIALS = /sk_test_|SG\.acme|whsec_|xoxb-|accessToken|00D(?:acme|globex)|pässwörd/;

function demo(...args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

describe('the quickstart', () => {
  it('does what it says', async () => {
    const database = await openSqlite();
    const lines: string[] = [];
    const tenants = [
      await readCredentials('acme', [data('acme.env'), data('acme.json')]),
      await readCredentials('globex', [data('globex.env'), data('globex.json')]),
    ];
    try {
      const result = await runDemo(database, tenants, new Report((line) => lines.push(line), false));
      expect(result).toEqual({
        stored: 8,
        refusals: ['ERR_SECRETS_NOT_FOUND', 'ERR_SECRETS_INTEGRITY', 'ERR_SECRETS_ROOT_KEY_WRONG'],
        rotated: 3,
        auditRows: 30,
      });
    } finally {
      await database.close();
    }
    expect(lines.filter((line) => line.startsWith('✓'))).toHaveLength(12);
  });

  it('says no more on a pipe than text, and no credential', async () => {
    const { code, output } = await demo();
    expect(code).toBe(0);
    expect(output).toContain('✓ 12');
    expect(output).not.toContain('\u001b[');
    expect(output).not.toMatch(CREDENTIALS);
  });
});

describe('the quickstart on files of the user', () => {
  let folder: string;
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keywright-quickstart-test-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('stores those', async () => {
    const a = await file('a.env', 'SHARED=secret-of-a-12345\nONLY_A=another-of-a-12345\n');
    const b = await file('b.json', '{ "SHARED": { "token": "secret-of-b-12345" } }');
    const { code, output } = await demo('--', '--tenant', `a=${a}`, '--tenant', `b=${b}`);
    expect(output).toContain('a: 2 secrets stored  a.env');
    expect(output).not.toMatch(/12345/);
    expect(code).toBe(0);
  });

  it('exits with 1 at a claim that does not hold', async () => {
    // a credential that is its own name lies in the clear, as a name
    const a = await file('plain.env', 'SHARED_SECRET=SHARED_SECRET\nONLY_A=another-of-a-12345\n');
    const b = await file('other.env', 'SHARED_SECRET=secret-of-b-12345\n');
    const { code, output } = await demo('--tenant', `a=${a}`, '--tenant', `b=${b}`);
    expect(code).toBe(1);
    expect(output).toContain('✗  4');
    expect(output).toContain('secrets.name');
    expect(output).not.toContain('Every claim');
  });

  it('throws what it found false', () => {
    const report = new Report(() => undefined, false);
    report.step('true', true);
    expect(() => report.step('water flows uphill', false)).toThrow(FalseClaim);
  });

  it.each([
    ['a file that is not there', ['--tenant', 'a=/nonexistent.env', '--tenant', 'b=/nonexistent.env']],
    ['one tenant', ['--tenant', `a=${data('acme.env')}`]],
    ['the same tenant twice', ['--tenant', `a=${data('acme.env')}`, '--tenant', `a=${data('acme.json')}`]],
    ['a tenant without files', ['--tenant', 'a', '--tenant', 'b']],
    ['an unknown option', ['--mysql']],
  ])('refuses %s', async (_what, args) => {
    const { code, output } = await demo(...args);
    expect(code).toBe(1);
    expect(output.trim().split('\n')).toHaveLength(1);
  });

  it('does not quote a broken credential file', async () => {
    const broken = await file('broken.json', '{ "token": sk_test_broken }');
    const { code, output } = await demo('--tenant', `a=${broken}`, '--tenant', `b=${broken}`);
    expect(code).toBe(1);
    expect(output).toContain('is not JSON');
    expect(output).not.toContain('sk_test_broken');
  });
});

describeEachEngine('the quickstart as a command', (engine) => {
  it('passes', async () => {
    const { code, output } = await demo(...(engine.name === 'postgres' ? ['--postgres'] : []));
    expect(output).toContain(engine.name === 'postgres' ? 'PostgreSQL' : 'SQLite');
    expect(output).toContain('Every claim above was checked in code.');
    expect(code).toBe(0);
  });
});
