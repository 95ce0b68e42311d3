import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOf } from './support.ts';

const CI = join(import.meta.dirname, '../../.ci');

interface Test {
  readonly fullName: string;
  readonly status: string;
}

const passed: Test = { fullName: 'works', status: 'passed' };

function reportOf(tests: readonly Test[], file: object = {}): string {
  return JSON.stringify({ testResults: [{ name: 'a.test.ts', status: 'passed', assertionResults: tests, ...file }] });
}

function summary(report: string | undefined, ...failedSteps: string[]) {
  const root = folderOf(report === undefined ? {} : { 'report.json': report });
  const args = [join(CI, 'summary.mjs'), join(root, 'report.json'), ...failedSteps];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const lines = stdout.trimEnd().split('\n');
  return { status, last: lines.at(-1), lines };
}

describe('summary.mjs', { timeout: 30_000 }, () => {
  it('passes when every test did', () => {
    expect(summary(reportOf([passed, passed]))).toMatchObject({ status: 0, last: '2 passed, 0 failed, 0 skipped' });
  });

  it('fails for a failed test, which the test step does not count again', () => {
    const report = reportOf([passed, { fullName: 'breaks', status: 'failed' }], { status: 'failed' });
    const { status, last, lines } = summary(report, 'test');
    expect({ status, last }).toEqual({ status: 1, last: '1 passed, 1 failed, 0 skipped' });
    expect(lines).toContain('failed: a.test.ts: breaks');
  });

  it.each(['skipped', 'pending', 'todo'])('fails for a test that is %s, and names it', (status) => {
    const result = summary(reportOf([passed, { fullName: 'later', status }]));
    expect(result).toMatchObject({ status: 1, last: '1 passed, 0 failed, 1 skipped' });
    expect(result.lines).toContain('skipped: a.test.ts: later');
  });

  it('fails for a file that does not load', () => {
    const result = summary(reportOf([passed], { status: 'failed', message: 'syntax' }));
    expect(result).toMatchObject({ status: 1, last: '1 passed, 1 failed, 0 skipped' });
  });

  it('counts each failed step, and a test step that failed though its tests passed', () => {
    const result = summary(reportOf([passed]), 'Debian packages', 'test', 'lint');
    expect(result).toMatchObject({ status: 1, last: '1 passed, 3 failed, 0 skipped' });
  });

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['cut short', '{"testResults": ['],
    ['without tests', reportOf([])],
    ['of something else', '{}'],
  ])('fails for a report that is %s', (_, report) => {
    expect(summary(report)).toMatchObject({ status: 1, last: '0 passed, 1 failed, 0 skipped' });
  });
});

interface Machine {
  /** The script that stands for npm. */
  readonly npm?: string;
  /** The check that fails. */
  readonly broken?: string;
  /** What dpkg-query says of every package. */
  readonly debian?: string;
}

const stub = (code: string) => `#!/bin/bash\n${code}\n`;

/** Runs .ci/run with nothing in the environment but a PATH on which everything slow is a stand-in. */
function ciRun({ npm = '', broken = 'none', debian = 'installed' }: Machine) {
  const root = folderOf({
    'package.json': { packageManager: 'pnpm@1.2.3' },
    'bin/npm': stub(`echo "tests need $KEYWRIGHT_REQUIRE, CI is $CI"; cp report.json "$KEYWRIGHT_REPORT"; ${npm}`),
    'bin/npx': stub(`echo "npx $*"; [ "\${!#}" != "${broken}" ]`),
    'bin/dpkg-query': stub(`printf '${debian}'`),
    'bin/id': stub('echo 1000'),
    'report.json': reportOf([passed]),
  });
  for (const name of ['npm', 'npx', 'dpkg-query', 'id']) chmodSync(join(root, 'bin', name), 0o755);
  symlinkSync(process.execPath, join(root, 'bin/node'));
  mkdirSync(join(root, '.ci'));
  for (const name of ['run', 'summary.mjs']) copyFileSync(join(CI, name), join(root, '.ci', name));
  const env = { PATH: `${root}/bin:/usr/bin:/bin`, HOME: root };
  const { status, stdout, stderr } = spawnSync(join(root, '.ci/run'), { cwd: '/', env, encoding: 'utf8' });
  return { status, stderr, stdout, last: stdout.trimEnd().split('\n').at(-1) };
}

describe('.ci/run', { timeout: 30_000 }, () => {
  const checks = [...readFileSync(join(CI, '../package.json'), 'utf8').matchAll(/"(check:\w+)":/g)].map(
    ([, name]) => name,
  );

  it('runs the tests and every check, and passes', () => {
    const { status, stdout, stderr, last } = ciRun({});
    expect(stdout).toContain('tests need all, CI is true');
    for (const check of ['lint', 'typecheck', ...checks]) expect(stdout).toContain(`npx -y pnpm@1.2.3 run ${check}\n`);
    expect(stdout).toMatch(/^--- lint passed in \d+ s$/m);
    expect({ status, stderr, last }).toEqual({ status: 0, stderr: '', last: '1 passed, 0 failed, 0 skipped' });
  });

  it('goes on after a failed check and fails', () => {
    const { status, stdout, last } = ciRun({ broken: 'lint' });
    expect(stdout).toContain('--- lint FAILED');
    expect(stdout).toContain('--- check:docs passed');
    expect({ status, last }).toEqual({ status: 1, last: '1 passed, 1 failed, 0 skipped' });
  });

  it('fails when the tests do, though the report is missing', () => {
    const { status, stdout, last } = ciRun({ npm: 'rm "$KEYWRIGHT_REPORT"; exit 1' });
    expect(stdout).toContain('--- check:docs passed');
    expect({ status, last }).toEqual({ status: 1, last: '0 passed, 1 failed, 0 skipped' });
  });

  it('says which Debian packages are missing where it may not install them', () => {
    const { status, stdout, last } = ciRun({ debian: 'config-files' });
    expect(stdout).toMatch(/missing and not installable here \(needs root and apt\): openssl .*python3-cryptography/);
    expect({ status, last }).toEqual({ status: 1, last: '1 passed, 1 failed, 0 skipped' });
  });
});
