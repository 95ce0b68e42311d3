import { describe, expect, it } from 'vitest';
import { jsdocBlocks, markdownBlocks } from '../doc-blocks.ts';
import { folderOf, runScript } from './support.ts';

const FENCE = '```';
const base = {
  'tsconfig.base.json': {
    compilerOptions: {
      target: 'es2024',
      module: 'preserve',
      lib: ['es2024'],
      strict: true,
      noUnusedLocals: true,
      skipLibCheck: true,
      types: [],
    },
  },
  'packages/a/package.json': {
    name: '@keywright/a',
    type: 'module',
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
  },
  'packages/a/dist/index.d.ts': 'export declare function seal(text: string): string;\n',
};

const check = (files: Readonly<Record<string, string>>) => runScript('check-docs.ts', folderOf({ ...base, ...files }));
const block = (...code: string[]) => [`${FENCE}ts`, ...code, FENCE].join('\n');

describe('check:docs', { timeout: 60_000 }, () => {
  it('passes blocks that type-check against the built packages, each a module of its own', () => {
    const one = block("import { seal } from '@keywright/a';", "const text: string = await seal('x');");
    const two = block('const text = 1;');
    const { status, output } = check({ 'README.md': `${one}\n\n${one}\n`, 'docs/guide.md': `${two}\n\n${two}\n` });
    expect(output).toBe('docs: 4 ts blocks type-check\n');
    expect(status).toBe(0);
  });

  it('reports a type error in Markdown at its line', () => {
    const text = `# Title\n\n${block('const fine = 1;', '', "const wrong: number = 'text';")}\n`;
    const { status, output } = check({ 'README.md': text, 'docs/deep/guide.md': `${block('nowhere();')}\n` });
    expect(output).toContain("README.md:6: TS2322: Type 'string' is not assignable to type 'number'.");
    expect(output).toContain("docs/deep/guide.md:2: TS2304: Cannot find name 'nowhere'.");
    expect(output).toContain('2 problems');
    expect(status).toBe(1);
  });

  it('reports a wrong use of a package in a doc comment at its line', () => {
    const comment = [
      '/**',
      ' * Seals.',
      ` * ${FENCE}ts`,
      " * import { seal } from '@keywright/a';",
      ' * if (seal(1)) {',
      ' * }',
    ];
    const source = [...comment, ` * ${FENCE}`, ' */', 'export const a = 1;', ''].join('\n');
    const { status, output } = check({ 'packages/a/src/a.ts': source });
    expect(output).toContain("packages/a/src/a.ts:5: TS2345: Argument of type 'number'");
    expect(output).toContain('1 problem');
    expect(status).toBe(1);
  });

  it('reports an import that does not exist', () => {
    const { status, output } = check({ 'packages/a/README.md': block("import { seal } from '@keywright/b';") });
    expect(output).toContain("packages/a/README.md:2: TS2307: Cannot find module '@keywright/b'");
    expect(status).toBe(1);
  });

  it('refuses a block that asks not to be checked', () => {
    const { status, output } = check({ 'README.md': `${FENCE}ts no-check\nconst a = 1;\n${FENCE}\n` });
    expect(output).toContain('README.md:1: every ts block is checked; remove "no-check"');
    expect(status).toBe(1);
  });

  it('fails where there is nothing to check', () => {
    const { status, output } = check({ 'README.md': `${FENCE}text\nnothing\n${FENCE}\n` });
    expect(output).toContain('no ts blocks found');
    expect(status).toBe(1);
  });
});

const lines = (...text: string[]) => markdownBlocks('f.md', text.join('\n'));

describe('markdownBlocks', () => {
  it('finds blocks in lists, quotes and behind tildes, without their indentation', () => {
    const list = lines('- item', `  ${FENCE}ts`, '  if (a)', '    b();', `  ${FENCE}`);
    expect(list.blocks).toEqual([{ file: 'f.md', line: 3, code: 'if (a)\n  b();' }]);
    expect(lines(`> ${FENCE}ts`, '> a();', `> ${FENCE}`).blocks).toEqual([{ file: 'f.md', line: 2, code: 'a();' }]);
    expect(lines('~~~ts', 'a();', '~~~').blocks).toEqual([{ file: 'f.md', line: 2, code: 'a();' }]);
  });

  it('leaves a block inside a longer fence alone', () => {
    expect(lines('````text', `${FENCE}ts`, 'a();', FENCE, '````')).toEqual({ blocks: [], problems: [] });
  });

  it.each(['typescript', 'js', 'javascript', 'tsx', 'mts', 'ts{1}', 'ts:a.ts', 'ts twoslash'])('refuses %s', (info) => {
    expect(lines(FENCE + info, 'a();', FENCE).problems).toHaveLength(1);
  });

  it.each(['', 'text', 'json', 'sh', 'tsv'])('leaves %j to the writer', (info) => {
    expect(lines(FENCE + info, 'a();', FENCE)).toEqual({ blocks: [], problems: [] });
  });

  it('refuses a block that is never closed', () => {
    expect(lines('', `${FENCE}ts`, 'a();').problems).toEqual([
      { file: 'f.md', line: 2, message: 'the code block is never closed' },
    ]);
  });
});

describe('jsdocBlocks', () => {
  it('keeps the indentation of the code and drops that of the comment', () => {
    const text = [
      '  /**',
      `   * ${FENCE}ts`,
      '   * if (a) {',
      '   *   b();',
      '   *',
      '   * }',
      `   * ${FENCE}`,
      '   */',
    ];
    expect(jsdocBlocks('f.ts', text.join('\n')).blocks).toEqual([
      { file: 'f.ts', line: 3, code: 'if (a) {\n  b();\n\n}' },
    ]);
  });

  it('finds none outside of comments', () => {
    const text = ['const text = `', `${FENCE}ts`, 'a();', FENCE, '`;'];
    expect(jsdocBlocks('f.ts', text.join('\n'))).toEqual({ blocks: [], problems: [] });
  });
});
