import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { machine } from './machine.ts';
import { progressOn } from './progress.ts';
import { chartOf } from './report/chart.ts';
import { documentOf } from './report/document.ts';
import { panelsOf } from './report/panels.ts';
import { tableOf, textTable } from './report/table.ts';
import { runSuite, type SuiteResult } from './run.ts';
import { mitataSlice } from './slice.ts';
import type { Suite } from './suite.ts';
import { selectSuites, suites } from './suites/index.ts';
import { overruns } from './verdict.ts';

const USAGE = `Usage: node packages/bench/src/main.ts [--no-write] [suite…]

Measures the named suites, all by default, and writes docs/benchmarks.md. Exits with 1 if a budget is not met,
with 2 if nothing could be measured.

Suites: ${suites.map((suite) => suite.name).join(', ')}`;

const ROUNDS = 25;
const SLICE_MS = 40;
const DOCS = new URL('../../../docs/', import.meta.url);

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { 'no-write': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  const selected = selectSuites(positionals);
  if (values.help) console.log(USAGE);
  else process.exitCode = await main(selected, values['no-write'] !== true);
} catch (error) {
  const usage = error instanceof RangeError || (error instanceof TypeError && 'code' in error);
  console.error(usage ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 2;
}

async function main(selected: readonly Suite[], write: boolean): Promise<number> {
  const results: SuiteResult[] = [];
  console.log(machine());
  for (const suite of selected) {
    const slice = mitataSlice(suite.sliceMs ?? SLICE_MS);
    const result = await runSuite(suite, { rounds: suite.rounds ?? ROUNDS, slice, ...progressOn(process.stderr) });
    results.push(result);
    console.log(`\n${suite.title} (${suite.name})\n\n${textTable(tableOf(result))}\n`);
  }
  if (write) await writeReport(results);
  const over = overruns(results);
  for (const line of over) console.error(`Over budget: ${line}`);
  return over.length === 0 ? 0 : 1;
}

function pictureOf(result: SuiteResult): string {
  return result.suite.picture === 'panels' ? panelsOf(result) : chartOf(result);
}

async function writeReport(results: readonly SuiteResult[]): Promise<void> {
  const file = new URL('benchmarks.md', DOCS);
  const previous = await readFile(file, 'utf8').catch(() => '');
  const measured = { date: new Date().toISOString().slice(0, 10), machine: machine() };
  const order = suites.map((suite) => suite.name);
  await mkdir(new URL('benchmarks/', DOCS), { recursive: true });
  for (const result of results) {
    await writeFile(new URL(`benchmarks/${result.suite.name}.svg`, DOCS), pictureOf(result));
  }
  await writeFile(file, documentOf(results, measured, previous, order));
}
