import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { startPostgres } from '@keywright/testkit';
import { machine } from '../machine.ts';
import { documentOf, type RunSection } from './document.ts';
import { runs, selectRuns } from './runs.ts';
import type { StressRun } from './stress-run.ts';

const USAGE = `Usage: node packages/bench/src/stress/main.ts [--quick] [--no-write] [run…]

Does the named runs, all by default, on a real PostgreSQL and a token, and writes docs/stress.md. With --quick they are small, and
nothing is written. Exits with 1 if something is lost, wrong or too slow.

Runs: ${runs.map(({ name }) => name).join(', ')}`;
const DOCUMENT = new URL('../../../../docs/stress.md', import.meta.url);

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, 'no-write': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  const selected = selectRuns(positionals);
  if (values.help) console.log(USAGE);
  else process.exitCode = await main(selected, values.quick === true, values['no-write'] !== true);
} catch (error) {
  const usage = error instanceof RangeError || (error instanceof TypeError && 'code' in error);
  console.error(usage ? `${error.message}\n\n${USAGE}` : error);
  process.exitCode = 2;
}

async function main(selected: readonly StressRun[], quick: boolean, write: boolean): Promise<number> {
  console.log(machine());
  const sections: RunSection[] = [];
  const problems: string[] = [];
  const server = await startPostgres();
  try {
    for (const { name, run } of selected) {
      const progress = (line: string): void => void process.stderr.write(`${name}  ${line}\n`);
      const outcome = await run({ serverUrl: server.url, size: quick ? 'quick' : 'full', progress });
      console.log(`\n${outcome.section}`);
      sections.push({ name, section: outcome.section });
      problems.push(...outcome.problems.map((problem) => `${name}: ${problem}`));
    }
  } finally {
    await server.stop();
  }
  if (write && !quick) await writeDocument(sections);
  for (const problem of problems) console.error(problem);
  return problems.length === 0 ? 0 : 1;
}

async function writeDocument(sections: readonly RunSection[]): Promise<void> {
  const previous = await readFile(DOCUMENT, 'utf8').catch(() => '');
  const measured = { date: new Date().toISOString().slice(0, 10), machine: machine() };
  const order = runs.map(({ name }) => name);
  await writeFile(DOCUMENT, documentOf(sections, measured, previous, order));
}
