import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startPostgres } from '@keywright/testkit';
import { runLoadSuite } from './load/measure.ts';
import { loadSlice } from './load/slice.ts';
import { machine } from './machine.ts';
import { progressOn } from './progress.ts';
import { documentOf } from './report/document.ts';
import { type Section, sectionOfLoad, sectionOfTimes } from './report/section.ts';
import { textTable } from './report/table.ts';
import { runSuite } from './run.ts';
import { mitataSlice } from './slice.ts';
import { type AnySuite, selectSuites, suites } from './suites/index.ts';

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

async function main(selected: readonly AnySuite[], write: boolean): Promise<number> {
  const sections: Section[] = [];
  console.log(machine());
  const server = selected.some((suite) => 'kind' in suite) ? await startPostgres() : undefined;
  try {
    for (const suite of selected) {
      const missing = 'kind' in suite ? suite.missing?.() : undefined;
      if (missing !== undefined) {
        console.error(`${suite.name} needs ${missing}, which this machine does not have.`);
        continue;
      }
      const section = await sectionFor(suite, server?.url ?? '');
      sections.push(section);
      console.log(`\n${section.title} (${section.name})\n`);
      for (const table of section.tables) console.log(`${textTable(table)}\n`);
    }
  } finally {
    await server?.stop();
  }
  if (write) await writeReport(sections);
  const missed = sections.flatMap((section) => section.missed);
  for (const line of missed) console.error(`Over budget: ${line}`);
  return missed.length === 0 ? 0 : 1;
}

async function sectionFor(suite: AnySuite, serverUrl: string): Promise<Section> {
  if ('kind' in suite) {
    const progress = (line: string): void => void process.stderr.write(`${line}\n`);
    const options = { rounds: suite.rounds, sliceMs: suite.sliceMs, slice: loadSlice };
    return sectionOfLoad(await runLoadSuite(suite, { serverUrl, size: 'full', progress }, options));
  }
  const slice = mitataSlice(suite.sliceMs ?? SLICE_MS);
  return sectionOfTimes(
    await runSuite(suite, { rounds: suite.rounds ?? ROUNDS, slice, ...progressOn(process.stderr) }),
  );
}

async function writeReport(sections: readonly Section[]): Promise<void> {
  const file = new URL('benchmarks.md', DOCS);
  const previous = await readFile(file, 'utf8').catch(() => '');
  const measured = { date: new Date().toISOString().slice(0, 10), machine: machine() };
  const order = suites.map((suite) => suite.name);
  await mkdir(new URL('benchmarks/', DOCS), { recursive: true });
  for (const { name, picture } of sections) await writeFile(new URL(`benchmarks/${name}.svg`, DOCS), picture);
  await writeFile(file, documentOf(sections, measured, previous, order));
}
