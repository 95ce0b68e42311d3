// Type-checks every ts block of the documentation and of the doc comments, each as a module of its own.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsdocBlocks, markdownBlocks } from './doc-blocks.ts';
import { typeProblems } from './doc-types.ts';
import { findFiles, report } from './workspace.ts';

const root = process.cwd();
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const markdown = findFiles(root, ['README.md', 'packages/*/README.md', 'examples/*/README.md', 'docs/**/*.md']);
const sources = findFiles(root, ['packages/*/src/**/*.ts']);
const found = [
  ...markdown.map((file) => markdownBlocks(file, read(file))),
  ...sources.map((file) => jsdocBlocks(file, read(file))),
];
const blocks = found.flatMap((of) => of.blocks);
const problems = [...found.flatMap((of) => of.problems), ...typeProblems(root, blocks)];
// A check that found nothing to check is broken, not satisfied.
if (blocks.length === 0) problems.push({ file: '.', message: 'no ts blocks found in the documentation' });
report(problems, `docs: ${blocks.length} ts blocks type-check`);
