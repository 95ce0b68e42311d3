import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { required, requireOrSkip } from '../src/requirement.ts';
import setup from '../src/vitest.ts';

const UNREACHABLE = 'postgres://admin:hunter2@127.0.0.1:1/postgres';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe('KEYWRIGHT_REQUIRE', () => {
  it.each([
    ['all', true],
    ['postgres', true],
    ['vault, postgres', true],
    ['vault', false],
    ['', false],
    [undefined, false],
  ])('%s: postgres is required: %s', (value, expected) => {
    vi.stubEnv('KEYWRIGHT_REQUIRE', value);
    expect(required('postgres')).toBe(expected);
  });

  it('lets what is there pass, and what is missing only where it is not asked for', () => {
    vi.stubEnv('KEYWRIGHT_REQUIRE', 'vault');
    expect(requireOrSkip('vault', '/usr/bin/vault', 'Install it.')).toBe('/usr/bin/vault');
    expect(requireOrSkip('chromium', undefined, 'Install it.')).toBeUndefined();
    const missing = expect.objectContaining({ code: 'ERR_TESTKIT_SERVER_REQUIRED' });
    expect(() => requireOrSkip('vault', undefined, 'Install it.')).toThrow(missing);
  });
});

describe('the global setup without a server', () => {
  it('throws when it is required', async () => {
    vi.stubEnv('KEYWRIGHT_TEST_PG_URL', UNREACHABLE);
    vi.stubEnv('KEYWRIGHT_REQUIRE', 'all');
    const provide = vi.fn();
    await expect(setup({ provide })).rejects.toMatchObject({ code: 'ERR_TESTKIT_SERVER_REQUIRED' });
    expect(provide).not.toHaveBeenCalled();
  });

  it('provides the reason when it is not', async () => {
    vi.stubEnv('KEYWRIGHT_TEST_PG_URL', UNREACHABLE);
    vi.stubEnv('KEYWRIGHT_TEST_PG15_URL', UNREACHABLE);
    vi.stubEnv('KEYWRIGHT_REQUIRE', undefined);
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    const provide = vi.fn();
    const teardown = await setup({ provide });
    await teardown();
    expect(warn.mock.calls).toEqual([
      [expect.stringMatching(/^The suites on postgres are skipped.*KEYWRIGHT_TEST_PG_URL/)],
      [expect.stringMatching(/^The suites on postgres15 are skipped.*KEYWRIGHT_TEST_PG15_URL/)],
    ]);
    expect(provide).toHaveBeenCalledWith('keywrightPostgres', {
      reason: expect.stringMatching(/^no PostgreSQL server answers at KEYWRIGHT_TEST_PG_URL: .*ECONNREFUSED/),
    });
    expect(provide).toHaveBeenCalledWith('keywrightPostgres15', {
      reason: expect.stringMatching(/^no PostgreSQL server answers at KEYWRIGHT_TEST_PG15_URL: .*ECONNREFUSED/),
    });
  });
});

describe('a run of several projects', { timeout: 60_000 }, () => {
  it('shares one server, which is gone after the run', async () => {
    const { status, tests } = run({ KEYWRIGHT_REQUIRE: 'all' });
    expect(status).toBe(0);
    const servers = tests.map(({ title }) => title).filter((title) => title.startsWith('postgres://'));
    expect(servers).toHaveLength(2);
    expect(new Set(servers).size).toBe(1);
    await expect(new Client(servers[0]).connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(tests.filter((test) => test.status !== 'passed')).toEqual([]);
    const titles = tests.map(({ ancestorTitles }) => ancestorTitles[0]);
    expect(titles).toEqual(expect.arrayContaining(['engine on postgres', 'engine on postgres15']));
  });

  it('skips the suites of a missing server by name', () => {
    const { status, tests } = run({ KEYWRIGHT_TEST_PG_URL: UNREACHABLE, KEYWRIGHT_TEST_PG15_URL: UNREACHABLE });
    expect(status).toBe(0);
    const skipped = tests.filter((test) => test.status !== 'passed').map(({ ancestorTitles }) => ancestorTitles[0]);
    const reason = (engine: string) => expect.stringMatching(`^engine on ${engine} \\(no PostgreSQL server answers at`);
    expect(skipped).toHaveLength(4);
    expect(skipped).toEqual(expect.arrayContaining([reason('postgres'), reason('postgres15')]));
  });

  it('fails when the missing server is required', () => {
    expect(run({ KEYWRIGHT_TEST_PG_URL: UNREACHABLE, KEYWRIGHT_REQUIRE: 'postgres' }).status).not.toBe(0);
  });

  it('fails when it is required and the global setup was forgotten', () => {
    const { status, output } = run({ KEYWRIGHT_REQUIRE: 'postgres', TESTKIT_NO_SETUP: '1' });
    expect(status).not.toBe(0);
    expect(output).toContain('the run has no global setup');
  });
});

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly tests: readonly { readonly title: string; readonly ancestorTitles: string[]; readonly status: string }[];
}

function run(env: Record<string, string>): Ran {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|KEYWRIGHT_)/.test(name));
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
  const report = join(mkdtempSync(join(tmpdir(), 'keywright-report-')), 'report.json');
  const args = [vitest, 'run', '--config', 'vitest.config.ts', '--reporter=json', `--outputFile=${report}`];
  const cwd = join(import.meta.dirname, 'fixtures', 'run');
  const options = { cwd, env: { ...Object.fromEntries(inherited), ...env }, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
  const written = existsSync(report) ? readFileSync(report, 'utf8') : '{"testResults":[]}';
  rmSync(dirname(report), { recursive: true });
  const { testResults } = JSON.parse(written) as { testResults: { assertionResults: Ran['tests'] }[] };
  return { status, output: stdout + stderr + written, tests: testResults.flatMap((file) => file.assertionResults) };
}
