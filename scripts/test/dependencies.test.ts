import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listDependencies, type Reasons, renderListings } from '../dependencies.ts';
import { REASONS } from '../dependency-reasons.ts';
import { isPermissive, licenceOf } from '../licences.ts';
import { workspacePackages } from '../workspace.ts';
import { folderOf, runScript } from './support.ts';

const WHY: Reasons = { '@keywright/a': { x: 'because' } };

function list(manifest: object, installed: Readonly<Record<string, object>>, reasons: Reasons = WHY) {
  const files = Object.entries(installed).map(([name, fields]) => [
    `node_modules/${name}/package.json`,
    { name, version: '1.0.0', license: 'MIT', ...fields },
  ]);
  const root = folderOf({
    ...Object.fromEntries(files),
    'packages/a/package.json': { name: '@keywright/a', ...manifest },
  });
  const [pkg] = workspacePackages(root);
  if (!pkg) throw new Error('the package is there');
  const { listing, problems } = listDependencies(pkg, reasons);
  return { listing, problems: problems.map(({ message }) => message) };
}

describe('listDependencies', () => {
  it('lists the tree, sorted, with the parents of what is not direct', () => {
    const { listing, problems } = list(
      { dependencies: { x: '^1' } },
      { x: { dependencies: { z: '1', b: '1' } }, z: { dependencies: { b: '1' } }, b: { license: 'ISC' } },
    );
    expect(problems).toEqual([]);
    expect(listing.rows).toEqual([
      { name: 'b', version: '1.0.0', licence: 'ISC', why: 'through x, z' },
      { name: 'x', version: '1.0.0', licence: 'MIT', why: 'because' },
      { name: 'z', version: '1.0.0', licence: 'MIT', why: 'through x' },
    ]);
  });

  it('refuses a licence that is not permissive, however deep', () => {
    const { problems } = list(
      { dependencies: { x: '1' } },
      { x: { dependencies: { y: '1' } }, y: { license: 'GPL-3.0' } },
    );
    expect(problems).toEqual(['y@1.0.0 is licensed GPL-3.0, which is not on the list in scripts/licences.ts']);
  });

  it('refuses a package without a licence', () => {
    const { problems } = list({ dependencies: { x: '1' } }, { x: { license: undefined } });
    expect(problems).toEqual(['x@1.0.0 is licensed none, which is not on the list in scripts/licences.ts']);
  });

  it.each(['dependencies', 'peerDependencies', 'optionalDependencies'])('refuses %s without a reason', (field) => {
    const { problems } = list({ dependencies: { x: '1' }, [field]: { x: '1', y: '1' } }, { x: {}, y: {} });
    expect(problems).toContain('y has no reason in scripts/dependency-reasons.ts');
  });

  it('refuses a reason for what is no longer a dependency', () => {
    expect(list({}, {}).problems).toEqual(['x has a reason but is not a dependency']);
  });

  it('refuses a dependency that is not installed', () => {
    expect(list({ dependencies: { x: '1' } }, {}).problems).toEqual(['x, needed by @keywright/a, is not installed']);
  });

  it('lists peers by range and resolves none of them, also for a dependency that shares the peer', () => {
    const reasons = { '@keywright/a': { x: 'because', p: 'yours' } };
    const manifest = { dependencies: { x: '1' }, peerDependencies: { p: '>=3 <4' } };
    const { listing, problems } = list(manifest, { x: { peerDependencies: { p: '3' } }, p: {} }, reasons);
    expect(problems).toEqual([]);
    expect(listing.rows.map(({ name }) => name)).toEqual(['x']);
    expect(listing.peers).toEqual([{ name: 'p', version: '>=3 <4', licence: 'peer', why: 'yours' }]);
  });

  it('renders ranges that hold a table separator', () => {
    const row = { name: 'x', version: '1 || 2', licence: 'peer', why: 'w' };
    expect(renderListings([{ packageName: 'a', rows: [], peers: [row] }])).toMatch(
      /\| `x` +\| 1 \\\|\\\| 2 +\| peer +\| w +\|/,
    );
  });
});

describe('licences', () => {
  it.each(['MIT', '(MIT OR GPL-3.0)', 'ISC AND MIT', 'Apache-2.0', 'GPL-2.0 OR MIT'])('%s is permissive', (id) => {
    expect(isPermissive(id)).toBe(true);
  });

  it.each([
    'GPL-3.0',
    'MIT AND GPL-3.0',
    'none',
    'SEE LICENSE IN LICENSE',
    'GPL-3.0 AND (LGPL-3.0 OR MIT OR AGPL-3.0)',
    'Apache-2.0 WITH LLVM-exception',
  ])('%s is not', (id) => {
    expect(isPermissive(id)).toBe(false);
  });

  it('reads the old object form', () => {
    expect(licenceOf({ type: 'MIT', url: '' })).toBe('MIT');
    expect([licenceOf(undefined), licenceOf(''), licenceOf([])]).toEqual(['none', 'none', 'none']);
  });
});

describe('list-dependencies --check', { timeout: 30_000 }, () => {
  // The reasons are those of the real package: each of them needs something that it is for.
  const others = Object.keys(REASONS['@keywright/envelope'] ?? {}).filter((name) => name !== 'quick-lru');
  const files = {
    'packages/envelope/package.json': {
      name: '@keywright/envelope',
      dependencies: { 'quick-lru': '7' },
      peerDependencies: Object.fromEntries(others.map((name) => [name, '1'])),
    },
    'node_modules/quick-lru/package.json': { name: 'quick-lru', version: '7.3.0', license: 'MIT' },
  };

  it('passes for what it wrote, and shows what changed since', () => {
    const root = folderOf(files);
    expect(runScript('list-dependencies.ts', root).status).toBe(0);
    expect(readFileSync(join(root, 'docs/dependencies.md'), 'utf8')).toMatch(/\| `quick-lru` +\| 7\.3\.0 +\| MIT +\|/);
    expect(runScript('list-dependencies.ts', root, '--check').status).toBe(0);

    const changed = folderOf({
      ...files,
      'docs/dependencies.md': readFileSync(join(root, 'docs/dependencies.md'), 'utf8').replace('7.3.0', '7.2.0'),
    });
    const { status, output } = runScript('list-dependencies.ts', changed, '--check');
    expect(output).toMatch(/- \| `quick-lru` +\| 7\.2\.0 .*\n.*\+ \| `quick-lru` +\| 7\.3\.0 /);
    expect(status).toBe(1);
  });

  it('fails where nothing is committed', () => {
    expect(runScript('list-dependencies.ts', folderOf(files), '--check').status).toBe(1);
  });
});
