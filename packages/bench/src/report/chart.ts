import type { CaseResult, ContenderResult } from '../measure.ts';
import type { SuiteResult } from '../run.ts';
import type { Role } from '../suite.ts';
import { formatRatio } from './format.ts';

const WIDTH = 820;
const PLOT = { left: 48, right: 804, height: 240 };
const TOP = 44;
const LEGEND_ROW = 20;
/** Average width of a character of the legend's text; only an estimate, so generous. */
const LEGEND_CHARACTER = 7;

/** A bar lower than this has its number above it. */
const NUMBER_HEIGHT = 20;
/** Bars are cut here, as a multiple of what the picture is about: slow peers must not flatten the rest. */
const CUT = 2;

const PEERS = ['#3b7dc4', '#7a67d8', '#2a8a70', '#9a7b12'];
const COLOURS: Readonly<Record<Exclude<Role, 'peer'>, string>> = {
  limit: '#6e7781',
  baseline: '#1f5591',
  subject: '#d9480f',
};

// The picture brings its own ground, because a page's theme may differ from what the system prefers.
const STYLE = `
  .ground { fill: #ffffff } .grid { stroke: #d8dee4 } .one { stroke: #57606a }
  .budget { stroke: #cf222e } .range { stroke: #1f2328 } text { fill: #1f2328 } .budget-name { fill: #cf222e }
  .cut { stroke: #ffffff } .in-bar { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .grid { stroke: #30363d } .one { stroke: #8b949e }
    .budget { stroke: #ff7b72 } .range { stroke: #e6edf3 } text { fill: #e6edf3 } .budget-name { fill: #ff7b72 }
    .cut { stroke: #0d1117 } .in-bar { fill: #ffffff }
  }
`;

interface Scale {
  readonly ticks: readonly number[];
  /** Stays within the plot: a larger ratio lies on its upper edge. */
  readonly y: (ratio: number) => number;
  readonly top: number;
  readonly bottom: number;
  readonly largest: number;
}

/** An SVG of the ratios: a bar for each contender, in groups; quartiles as whiskers, budgets as dashed lines. */
export function chartOf({ suite, cases }: SuiteResult): string {
  const names = [...new Set(cases.flatMap((item) => item.contenders.map(({ name }) => name)))];
  const colours = coloursOf(cases);
  const legend = legendOf(names, colours);
  const scale = scaleOf(cases, TOP + legend.height);
  const height = scale.bottom + 30;
  const title = xmlText(`${suite.title}: time of one ${suite.operation}, baseline = 1`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    `<text x="16" y="26" font-size="15" font-weight="600">${title}</text>`,
    ...legend.marks,
    ...axisOf(scale),
    ...cases.flatMap((item, index) => groupOf(item, slotOf(index, cases.length), colours, scale)),
    '</svg>',
    '',
  ].join('\n');
}

function coloursOf(cases: readonly CaseResult[]): ReadonlyMap<string, string> {
  const colours = new Map<string, string>();
  let peers = 0;
  for (const { name, role } of cases.flatMap((item) => item.contenders)) {
    if (colours.has(name)) continue;
    colours.set(name, role === 'peer' ? (PEERS[peers++ % PEERS.length] as string) : COLOURS[role]);
  }
  return colours;
}

function legendOf(names: readonly string[], colours: ReadonlyMap<string, string>): { marks: string[]; height: number } {
  const marks: string[] = [];
  let x = 16;
  let row = 0;
  for (const name of names) {
    const width = 34 + name.length * LEGEND_CHARACTER;
    if (x > 16 && x + width > WIDTH) {
      x = 16;
      row++;
    }
    const y = TOP + row * LEGEND_ROW;
    marks.push(
      `<rect x="${x}" y="${y}" width="12" height="12" rx="2" fill="${colours.get(name)}"/>`,
      `<text x="${x + 18}" y="${y + 10}">${xmlText(name)}</text>`,
    );
    x += width;
  }
  return { marks, height: (row + 1) * LEGEND_ROW };
}

function scaleOf(cases: readonly CaseResult[], above: number): Scale {
  const contenders = cases.flatMap((item) => item.contenders);
  const subjects = contenders.filter(({ role }) => role === 'subject').map(({ ratio }) => ratio.p75);
  const budgets = contenders.flatMap(({ maxRatio }) => maxRatio ?? []);
  const cut = CUT * Math.max(1, ...subjects, ...budgets);
  const reached = Math.min(cut, Math.max(1, ...budgets, ...contenders.map(({ ratio }) => ratio.p75)));
  const step = [0.25, 0.5, 1, 2, 5, 10, 20, 50].find((candidate) => reached / candidate <= 6) ?? reached / 4;
  const steps = Math.ceil((reached * 1.05) / step);
  const top = above + 16;
  const bottom = top + PLOT.height;
  return {
    ticks: Array.from({ length: steps + 1 }, (_, index) => index * step),
    y: (ratio) => Math.max(top, round(bottom - (ratio / (steps * step)) * PLOT.height)),
    top,
    bottom,
    largest: steps * step,
  };
}

function axisOf({ ticks, y }: Scale): string[] {
  const line = (kind: string, ratio: number) =>
    `<line class="${kind}" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(ratio)}" y2="${y(ratio)}"/>`;
  return [
    ...ticks.flatMap((tick) => [
      line('grid', tick),
      `<text x="${PLOT.left - 8}" y="${round(y(tick) + 4)}" text-anchor="end">${Number(tick.toFixed(2))}</text>`,
    ]),
    line('one', 1),
  ];
}

interface Slot {
  readonly left: number;
  readonly width: number;
}

function slotOf(index: number, count: number): Slot {
  const width = (PLOT.right - PLOT.left) / count;
  return { left: PLOT.left + index * width, width };
}

function groupOf(item: CaseResult, slot: Slot, colours: ReadonlyMap<string, string>, scale: Scale): string[] {
  const room = slot.width * 0.86;
  const pitch = Math.min(48, room / item.contenders.length);
  const start = slot.left + (slot.width - pitch * item.contenders.length) / 2;
  const budgets = [...new Set(item.contenders.flatMap(({ maxRatio }) => maxRatio ?? []))];
  return [
    ...item.contenders.flatMap((contender, index) =>
      barOf(contender, { left: start + index * pitch, width: pitch }, colours.get(contender.name) ?? '', scale),
    ),
    ...budgets.map((ratio) => budgetOf(ratio, slot, scale)),
    `<text x="${round(slot.left + slot.width / 2)}" y="${scale.bottom + 20}" text-anchor="middle">${xmlText(item.name)}</text>`,
  ];
}

function barOf({ name, ratio }: ContenderResult, { left, width }: Slot, colour: string, scale: Scale): string[] {
  const y = scale.y(ratio.median);
  const bar = { x: round(left + 2), width: round(width - 4), height: round(scale.bottom - y) };
  const middle = round(left + width / 2);
  const low = bar.height < NUMBER_HEIGHT;
  const numberY = low ? round(scale.y(ratio.p75) - 5) : scale.bottom - 7;
  const cutY = scale.top + 14;
  return [
    `<rect class="bar" x="${bar.x}" y="${y}" width="${bar.width}" height="${bar.height}" fill="${colour}"><title>${xmlText(name)}: ${formatRatio(ratio.median)}</title></rect>`,
    ratio.median > scale.largest
      ? `<line class="cut" x1="${bar.x - 2}" x2="${round(bar.x + bar.width + 2)}" y1="${cutY}" y2="${cutY - 8}" stroke-width="4"/>`
      : `<line class="range" x1="${middle}" x2="${middle}" y1="${scale.y(ratio.p25)}" y2="${scale.y(ratio.p75)}"/>`,
    `<text${low ? '' : ' class="in-bar"'} x="${middle}" y="${numberY}" text-anchor="middle" font-size="11" font-weight="600">${formatRatio(ratio.median)}</text>`,
  ];
}

function budgetOf(ratio: number, { left, width }: Slot, { y }: Scale): string {
  return [
    `<line class="budget" x1="${round(left + 4)}" x2="${round(left + width - 4)}" y1="${y(ratio)}" y2="${y(ratio)}" stroke-width="1.5" stroke-dasharray="6 4"/>`,
    `<text class="budget-name" x="${round(left + 6)}" y="${round(y(ratio) - 5)}" font-size="11">budget ${formatRatio(ratio)}</text>`,
  ].join('\n');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
