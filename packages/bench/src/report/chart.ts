import type { CaseResult, ContenderResult } from '../measure.ts';
import type { SuiteResult } from '../run.ts';
import { formatRatio } from './format.ts';
import { coloursOf, framed, legendOf, round, TOP, xmlText } from './svg.ts';

const PLOT = { left: 48, right: 804, height: 240 };

/** A bar lower than this has its number above it. */
const NUMBER_HEIGHT = 20;
/** Bars are cut here, as a multiple of what the picture is about: slow peers must not flatten the rest. */
const CUT = 2;

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
  const colours = coloursOf(cases);
  const legend = legendOf(colours);
  const scale = scaleOf(cases, TOP + legend.height);
  const height = scale.bottom + 30;
  const title = `${suite.title}: time of one ${suite.operation}, baseline = 1`;
  return framed(title, height, [
    ...legend.marks,
    ...axisOf(scale),
    ...cases.flatMap((item, index) => groupOf(item, slotOf(index, cases.length), colours, scale)),
  ]);
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
