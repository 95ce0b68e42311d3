import { beforeAll, expect, test } from 'vitest';
import { chartOf } from '../src/report/chart.ts';
import { documentOf } from '../src/report/document.ts';
import { formatThroughput, formatTime } from '../src/report/format.ts';
import { panelsOf } from '../src/report/panels.ts';
import { sectionOfTimes } from '../src/report/section.ts';
import { markdownTable, tableOf, textTable } from '../src/report/table.ts';
import { runSuite, type SuiteResult } from '../src/run.ts';
import { suiteOf, WorkClock } from './fake.ts';

const measured = { date: '2026-11-22', machine: 'Some CPU, 2 cores' };
let result: SuiteResult;

beforeAll(async () => {
  const clock = new WorkClock();
  const suite = suiteOf([
    clock.contender('one', 1, { role: 'baseline' }),
    clock.contender('two <&>', 2, { role: 'subject', maxRatio: 1.5 }),
  ]);
  result = await runSuite(suite, { rounds: 3, slice: clock.slice });
});

test('the table on a terminal', () => {
  expect(textTable(tableOf(result)).split('\n')).toEqual([
    'case   contender     call  MB/s  ratio  quartiles  of means  budget',
    'small  one        1.00 µs   500   1.00  1.00–1.00      1.00',
    'small  two <&>    2.00 µs   250   2.00  2.00–2.00      2.00  ≤ 1.50  over',
  ]);
});

test('the table in the document', () => {
  expect(markdownTable(tableOf(result)).split('\n')).toEqual([
    '| case | contender | call | MB/s | ratio | quartiles | of means | budget |  |',
    '| :--- | :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |',
    '| small | one | 1.00 µs | 500 | 1.00 | 1.00–1.00 | 1.00 |  |  |',
    '| small | two <&> | 2.00 µs | 250 | 2.00 | 2.00–2.00 | 2.00 | ≤ 1.50 | over |',
  ]);
});

test('times have three digits and the unit that suits them; no payload, no throughput', () => {
  expect([0.5, 12.34, 1234, 56_789, 123_456_789, 2e9].map(formatTime)).toEqual([
    '0.50 ns',
    '12.3 ns',
    '1.23 µs',
    '56.8 µs',
    '123 ms',
    '2.00 s',
  ]);
  expect(formatThroughput(undefined, 1000)).toBe('–');
});

test('the document has the method, the machine, the picture and the table', () => {
  const document = documentOf([sectionOfTimes(result)], measured, '', ['fake']);
  expect(document).toMatch(/^# Benchmarks\n/);
  expect(document).toContain('## Fakes\n\nTwo contenders.');
  expect(document).toContain('](benchmarks/fake.svg)');
  expect(document).toContain('| small | one |');
  expect(document).toContain('Measured 2026-11-22 in 3 rounds. Some CPU, 2 cores.');
});

test('a suite that did not run keeps its section, one that is gone loses it', () => {
  const section = sectionOfTimes(result);
  const other = { ...section, name: 'other', title: 'Others' };
  const previous = documentOf([section, other], measured, '', ['fake', 'other']);
  const later = { date: '2026-12-01', machine: 'Another CPU' };

  const document = documentOf([section], later, previous, ['fake', 'other']);
  expect(document.match(/^## .*/gm)).toEqual(['## Method', '## Fakes', '## Others']);
  expect(document).toContain('2026-12-01 in 3 rounds. Another CPU.');
  expect(document).toContain('2026-11-22 in 3 rounds. Some CPU, 2 cores.');
  expect(documentOf([section], later, document, ['fake'])).not.toContain('## Others');
  expect(documentOf([], later, document, ['fake', 'other'])).toBe(document);
});

test('bars are as high as their ratios, and the budget lies between them', () => {
  const svg = chartOf(result);
  const bars = [...svg.matchAll(/<rect class="bar" x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"/g)];
  const [one, two] = bars.map(([, y, height]) => ({ y: Number(y), height: Number(height) }));
  expect(bars).toHaveLength(2);
  expect(Number(two?.height) / Number(one?.height)).toBeCloseTo(2, 1);
  const budget = Number(/<line class="budget"[^>]* y1="([\d.]+)"/.exec(svg)?.[1]);
  expect(budget).toBeLessThan(one?.y ?? 0);
  expect(budget).toBeGreaterThan(two?.y ?? 0);
});

test('a slow peer is cut off and does not flatten the rest', async () => {
  const clock = new WorkClock();
  const suite = suiteOf([clock.contender('one', 1, { role: 'baseline' }), clock.contender('slow', 1000)]);
  const svg = chartOf(await runSuite(suite, { rounds: 1, slice: clock.slice }));
  const [one, slow] = [...svg.matchAll(/<rect class="bar"[^>]* height="([\d.]+)"/g)].map(([, height]) =>
    Number(height),
  );
  expect(Number(slow) / Number(one)).toBeLessThan(3);
  expect(svg).toContain('class="cut"');
  expect(svg).toContain('>1000.00</text>');
});

test('panels: a factor of ten is as high everywhere, and every operation has its groups', async () => {
  const clock = new WorkClock();
  const item = (panel: string, group: string) => ({
    name: `${panel}, ${group}`,
    place: { panel, group },
    contenders: [1, 10, 100].map((units) =>
      clock.contender(`${units} units`, units, units === 1 ? { role: 'baseline' } : {}),
    ),
  });
  const cases = [item('there', 'small'), item('there', 'large'), item('back', 'small')];
  const svg = panelsOf(await runSuite(suiteOf([], { cases: () => cases }), { rounds: 1, slice: clock.slice }));
  const bars = [...svg.matchAll(/<rect class="bar"[^>]* height="([\d.]+)"/g)].map(([, height]) => Number(height));
  expect(bars).toHaveLength(9);
  const [one = 0, ten = 0, hundred = 0] = bars;
  expect(ten - one).toBeGreaterThan(20);
  expect(hundred - ten).toBeCloseTo(ten - one, 0);
  expect(svg.match(/>there<|>back</g)).toEqual(['>there<', '>back<']);
  expect(svg.match(/>small<|>large</g)).toEqual(['>small<', '>large<', '>small<']);
});

test.for([chartOf, panelsOf])('the picture is well-formed, and names in it are text', (pictureOf) => {
  const svg = pictureOf(result);
  expect(svg).toContain('two &lt;&amp;&gt;');
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  const open: string[] = [];
  for (const [, closing, name = '', rest = ''] of svg.matchAll(/<(\/?)([a-z]+)([^>]*)>/g)) {
    if (closing) expect(open.pop()).toBe(name);
    else if (!rest.endsWith('/')) open.push(name);
  }
  expect(open).toEqual([]);
  expect(svg).toContain('prefers-color-scheme: dark');
});
