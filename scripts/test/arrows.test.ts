import { describe, expect, it } from 'vitest';
import { reachable, TABLE } from '../arrows.ts';
import { folderOf, runScript } from './support.ts';

interface Case {
  readonly title: string;
  /** Of the package `@keywright/secrets`. */
  readonly manifest?: object;
  readonly source: string;
  readonly refused: string;
}

const envelope = { dependencies: { '@keywright/envelope': 'workspace:^' } };

function check(source: string, manifest: object = {}, folder = 'packages/secrets', name = '@keywright/secrets') {
  return runScript(
    'check-arrows.ts',
    folderOf({ [`${folder}/package.json`]: { name, ...manifest }, [`${folder}/src/deep/file.ts`]: source }),
  );
}

const AT = 'packages/secrets/src/deep/file.ts';
const cases: Case[] = [
  {
    title: 'a package that the table does not allow',
    manifest: { dependencies: { '@keywright/oauth': '1' } },
    source: "\nimport { x } from '@keywright/oauth/sub';",
    refused: `${AT}:2: @keywright/secrets may not import @keywright/oauth`,
  },
  {
    title: 'a package that the table does not allow, in package.json alone',
    manifest: { dependencies: { '@keywright/oauth': '1' } },
    source: '',
    refused: 'packages/secrets/package.json:4: @keywright/secrets may not import @keywright/oauth',
  },
  {
    title: 'a private package, for its types alone',
    manifest: { peerDependencies: { '@keywright/testkit': '1' } },
    source: "import type { x } from '@keywright/testkit';",
    refused: `${AT}:1: @keywright/secrets may not import @keywright/testkit`,
  },
  {
    title: 'a package of ours that nobody knows',
    manifest: { dependencies: { '@keywright/other': '1' } },
    source: "export * from '@keywright/other';",
    refused: `${AT}:1: @keywright/secrets may not import @keywright/other`,
  },
  {
    title: 'itself by name',
    source: "import '@keywright/secrets';",
    refused: `${AT}:1: @keywright/secrets imports itself by name`,
  },
  {
    title: 'a package that is only a devDependency',
    manifest: { devDependencies: { knex: '3' } },
    source: "import type { Knex } from 'knex';",
    refused: `${AT}:1: knex is not among the dependencies`,
  },
  {
    title: 'a package whose name an object has anyway',
    source: "import 'constructor';",
    refused: `${AT}:1: constructor is not among the dependencies`,
  },
  {
    title: 'a part of Node without its prefix',
    source: "import fs from 'fs/promises';",
    refused: `${AT}:1: fs/promises is a part of Node: write node:fs/promises`,
  },
  {
    title: 'a cipher of node:crypto',
    source: "import * as c from 'node:crypto';\nc.createCipheriv('aes-256-gcm', k, n);",
    refused: `${AT}:2: createCipheriv: only @keywright/envelope may use a cipher`,
  },
  {
    title: 'a package of ciphers',
    manifest: { dependencies: { '@noble/ciphers': '2' } },
    source: "import { gcm } from '@noble/ciphers/aes.js';",
    refused: `${AT}:1: @noble/ciphers: only @keywright/envelope may use a cipher`,
  },
  {
    title: 'a file of another package',
    source: "import { x } from '../../../envelope/src/index.ts';",
    refused: `${AT}:1: ../../../envelope/src/index.ts leaves the package`,
  },
];

describe('check:arrows', { timeout: 30_000 }, () => {
  it.each(cases)('refuses $title', ({ source, manifest, refused }) => {
    const { status, output } = check(source, manifest);
    expect(output).toContain(refused);
    expect(status).toBe(1);
  });

  it('refuses a package that is not in the table', () => {
    const { status, output } = check('', {}, 'packages/other', '@keywright/other');
    expect(output).toContain('packages/other/package.json: @keywright/other is not in the table');
    expect(status).toBe(1);
  });

  it('refuses a private package that would be published', () => {
    const { status, output } = check('', {}, 'packages/testkit', '@keywright/testkit');
    expect(output).toContain('@keywright/testkit must be "private": true');
    expect(status).toBe(1);
  });

  it('refuses to pass where it finds no packages', () => {
    expect(runScript('check-arrows.ts', folderOf({ 'a.ts': '' })).status).toBe(1);
  });

  it('passes what the table allows, whatever devDependencies there are', () => {
    const source = "import { createHash } from 'node:crypto';\nimport '@keywright/envelope';\nimport '../index.ts';";
    const { status, output } = check(source, { ...envelope, devDependencies: { '@keywright/testkit': '1' } });
    expect(output).toBe('arrows: 1 source files in 1 packages import only what they may\n');
    expect(status).toBe(0);
  });

  it('lets an example import every package, private ones too', () => {
    const manifest = { private: true, dependencies: { '@keywright/cli': '1', '@keywright/testkit': '1' } };
    const source = "import '@keywright/cli';\nimport '@keywright/testkit';";
    expect(check(source, manifest, 'examples/one', '@keywright/example-one').status).toBe(0);
  });
});

describe('the table of arrows', () => {
  it('names no package that it lacks, and has no circle', () => {
    for (const [name, row] of Object.entries(TABLE)) {
      const reached = reachable(row);
      expect([...reached].filter((other) => !Object.hasOwn(TABLE, other))).toEqual([]);
      if (row.imports !== 'all') expect(reached).not.toContain(name);
    }
  });

  it('lets no published package reach a private one', () => {
    const published = Object.values(TABLE).filter((row) => !row.private);
    expect(published.length).toBeGreaterThan(0);
    for (const row of published) expect([...reachable(row)].filter((name) => TABLE[name]?.private)).toEqual([]);
  });

  it('is transitive', () => {
    expect([...reachable({ imports: ['dbos'] })].sort()).toEqual(
      ['dbos', 'secrets', 'oauth', 'keychain', 'kms', 'envelope'].sort(),
    );
  });
});
