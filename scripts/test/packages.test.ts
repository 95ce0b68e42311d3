import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { attwProblems, publintProblems } from '../package-lint.ts';
import { smokeProblems } from '../smoke.ts';
import { contentProblems, type Packed, unpack } from '../tarball.ts';
import { folderOf, runScript } from './support.ts';

const manifest = {
  name: '@keywright/a',
  version: '1.0.0',
  license: 'MIT',
  type: 'module',
  exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' },
};
const good = {
  LICENSE: 'MIT',
  'README.md': '# a',
  'dist/index.js': 'export const a = 1;\n',
  'dist/index.d.ts': 'export declare const a = 1;\n',
};

interface Made {
  readonly packed: Packed;
  /** A node_modules that has what is given to it. */
  readonly installed: string;
}

/** A tarball of the files, unpacked as check:packages does; `undefined` leaves a file out. */
function made(
  fields: object = {},
  files: Readonly<Record<string, string | undefined>> = {},
  modules: Readonly<Record<string, string>> = {},
): Made {
  const all: Readonly<Record<string, string | undefined>> = { ...good, ...files };
  const present = Object.entries(all).flatMap(([path, text]) =>
    text === undefined ? [] : [[`package/${path}`, text]],
  );
  const installed = Object.entries(modules).flatMap(([name, code]) => [
    [`installed/${name}/package.json`, { name, type: 'module', exports: './index.js' }],
    [`installed/${name}/index.js`, code],
  ]);
  const root = folderOf({
    ...Object.fromEntries([...present, ...installed]),
    'package/package.json': { ...manifest, ...fields },
  });
  if (all['dist/bin.js']) chmodSync(join(root, 'package/dist/bin.js'), 0o755);
  const tarball = join(root, 'a.tgz');
  expect(spawnSync('tar', ['-czf', tarball, '-C', root, 'package']).status).toBe(0);
  return { packed: unpack(tarball, join(root, 'node_modules/@keywright/a')), installed: join(root, 'installed') };
}

const smoke = (...args: Parameters<typeof made>): string[] => {
  const { packed, installed } = made(...args);
  return smokeProblems(packed, installed);
};

describe('check:packages', { timeout: 60_000 }, () => {
  it('finds nothing wrong with a good tarball', async () => {
    const { packed, installed } = made();
    expect(contentProblems(packed)).toEqual([]);
    expect(await publintProblems(packed)).toEqual([]);
    expect(attwProblems(packed)).toEqual([]);
    expect(smokeProblems(packed, installed)).toEqual([]);
  });

  it('asks for a build first', () => {
    const root = folderOf({ 'package.json': {}, 'packages/a/package.json': manifest });
    const { status, output } = runScript('check-packages.ts', root, 'a');
    expect(output).toContain('packages/a: has no dist; run `pnpm run build` first');
    expect(status).toBe(1);
  });

  it('refuses a folder that is not a published package', () => {
    const root = folderOf({ 'package.json': {}, 'packages/a/package.json': { ...manifest, private: true } });
    const { status, output } = runScript('check-packages.ts', root, 'a');
    expect(output).toContain('There is no published package in packages/a.');
    expect(status).toBe(1);
  });
});

describe('contentProblems', () => {
  it.each(['LICENSE', 'README.md'])('misses %s', (file) => {
    expect(contentProblems(made({}, { [file]: undefined }).packed)).toEqual([`the tarball lacks ${file}`]);
  });

  it('misses dist', () => {
    const { packed } = made({}, { 'dist/index.js': undefined, 'dist/index.d.ts': undefined });
    expect(contentProblems(packed)).toEqual(['the tarball lacks dist/']);
  });

  it.each([
    'dist/a.test.js',
    'test/a.js',
    'dist/test/vectors.json',
    'test/vectors/sub/a.json',
    'test/vectors.test.ts',
    'dist/vectors/a.json',
    'test-d/a.ts',
    'src/a.spec.ts',
    'dist/tsconfig.tsbuildinfo',
    '.env',
  ])('refuses %s', (file) => {
    expect(contentProblems(made({}, { [file]: ' ' }).packed)).toEqual([`the tarball should not hold ${file}`]);
  });

  it('lets the vectors pass that are published for other implementations', () => {
    expect(contentProblems(made({}, { 'test/vectors/v1.json': '{}', 'test/vectors/README.md': '#' }).packed)).toEqual(
      [],
    );
  });

  it('refuses a range that only the workspace understands', () => {
    const { packed } = made({ dependencies: { '@keywright/b': 'workspace:^' } });
    expect(contentProblems(packed)).toEqual(['the packed package.json still says "workspace:^"']);
  });
});

describe('publint and attw', { timeout: 60_000 }, () => {
  it('report an export whose file is missing', async () => {
    const { packed } = made({ exports: { ...manifest.exports, './b': './dist/b.js' } });
    expect((await publintProblems(packed)).join()).toContain('publint FILE_DOES_NOT_EXIST');
  });

  it('report what is only a warning', async () => {
    const { packed } = made({ type: 'commonjs' });
    expect((await publintProblems(packed)).join()).toContain('publint FILE_INVALID_FORMAT');
  });

  it('report types that a module importer cannot use', () => {
    const files = { 'dist/index.d.ts': "export { a } from './missing';\n" };
    expect(attwProblems(made({}, files).packed).join()).toContain('attw InternalResolutionError');
  });

  it('report a subpath without types, and a package without any', () => {
    const exports = { ...manifest.exports, './b': './dist/b.js' };
    const untyped = attwProblems(made({ exports }, { 'dist/b.js': 'export const b = 1;\n' }).packed);
    expect(untyped.join()).toContain('attw UntypedResolution ./b');
    expect(attwProblems(made({}, { 'dist/index.d.ts': undefined }).packed)).toEqual(['attw: the package has no types']);
  });
});

describe('smokeProblems', { timeout: 60_000 }, () => {
  const importing = { 'dist/index.js': "export { b } from 'b';\n" };

  it('loads dependencies and peers, but not devDependencies', () => {
    const b = { b: 'export const b = 1;\n' };
    expect(smoke({ dependencies: { b: '1' } }, importing, b)).toEqual([]);
    expect(smoke({ peerDependencies: { b: '1' } }, importing, b)).toEqual([]);
    const [problem] = smoke({ devDependencies: { b: '1' } }, importing, b);
    expect(problem).toMatch(/^import @keywright\/a: Error.*Cannot find package 'b'/);
  });

  it('lets subpaths use an optional peer, and the root not', () => {
    const peer = { peerDependencies: { b: '1' }, peerDependenciesMeta: { b: { optional: true } } };
    const b = { b: 'export const b = 1;\n' };
    expect(smoke(peer, importing, b).join()).toContain("Cannot find package 'b'");
    const exports = { ...manifest.exports, './b': './dist/b.js' };
    expect(smoke({ ...peer, exports }, { 'dist/b.js': "export { b } from 'b';\n" }, b)).toEqual([]);
  });

  it.each([
    ['throws', "throw new TypeError('broken');\n", 'import @keywright/a: TypeError: broken'],
    ['exports nothing', 'export {};\n', 'import @keywright/a: Error: it exports nothing'],
    ['prints', "console.warn('hello');\nexport const a = 1;\n", 'import @keywright/a prints: hello'],
    [
      'has a class that a bundler has renamed',
      'var A = class _A {};\nexport { A };\n',
      'import @keywright/a: Error: its class A is called _A',
    ],
  ])('refuses a module that %s', (_, code, problem) => {
    expect(smoke({}, { 'dist/index.js': code })).toEqual([problem]);
  });

  it('refuses a pattern and a missing exports map', () => {
    expect(smoke({ exports: { './*': './dist/*.js' } })).toEqual([
      './*: write every subpath out; a pattern cannot be tried',
    ]);
    expect(smoke({ exports: undefined })).toEqual(['package.json exports nothing']);
  });

  it.each([
    ['#!/usr/bin/env node\nconsole.log("usage");\n', []],
    ['#!/usr/bin/env node\nprocess.exitCode = 3;\n', ['bin a --help: exit code 3']],
    ['#!/usr/bin/env node\n', ['bin a --help prints nothing']],
    ['console.log("usage");\n', ['bin a: ./dist/bin.js has no #! line']],
    [undefined, ['bin a: ./dist/bin.js is not in the tarball']],
  ])('tries the bin %j', (code, problems) => {
    expect(smoke({ bin: { a: './dist/bin.js' } }, { 'dist/bin.js': code })).toEqual(problems);
  });
});
