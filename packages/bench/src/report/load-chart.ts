import type { LoadContenderResult, LoadSuiteResult } from '../load/measure.ts';
import type { Spread } from '../statistics.ts';
import { formatCount, formatTime } from './format.ts';
import { coloursOf, framed, legendOf, round, TOP, xmlText } from './svg.ts';

const PLOT = { left: 56, right: 804, height: 150 };
/** A panel's title above its plot, the names of the cases below. */
const ABOVE = 40;
const BELOW = 26;
/** Room for the number above the highest bar. */
const HEADROOM = 1.15;
const STEPS = 4;

interface Panel {
  readonly title: string;
  readonly of: (contender: LoadContenderResult) => Spread;
  readonly number: (value: number) => string;
}

const latency = (value: number): string => formatTime(value * 1e6);

/** An SVG of throughput and of the median latency: a group of bars for each case, each case to a scale of its own. */
export function loadChartOf({ suite, cases }: LoadSuiteResult): string {
  const colours = coloursOf(cases);
  const legend = legendOf(colours);
  const panels: readonly Panel[] = [
    {
      title: `${suite.operations} per second: higher is better`,
      of: ({ perSecond }) => perSecond,
      number: formatCount,
    },
    { title: 'median latency of a call: lower is better', of: ({ p50 }) => p50, number: latency },
  ];
  const top = TOP + legend.height;
  const step = ABOVE + PLOT.height + BELOW;
  const marks = panels.flatMap((panel, index) => [
    `<text x="${PLOT.left}" y="${top + index * step + 18}" font-weight="600">${xmlText(panel.title)}</text>`,
    ...cases.flatMap((item, place) =>
      groupOf(item, panel, colours, {
        left: PLOT.left + (place * (PLOT.right - PLOT.left)) / cases.length,
        width: (PLOT.right - PLOT.left) / cases.length,
        bottom: top + index * step + ABOVE + PLOT.height,
      }),
    ),
  ]);
  return framed(`${suite.title}: every case to its own scale`, top + panels.length * step + 8, [
    ...legend.marks,
    ...marks,
  ]);
}

interface Slot {
  readonly left: number;
  readonly width: number;
  readonly bottom: number;
}

function groupOf(
  item: LoadSuiteResult['cases'][number],
  { of, number }: Panel,
  colours: ReadonlyMap<string, string>,
  { left, width, bottom }: Slot,
): string[] {
  const largest = Math.max(...item.contenders.map((contender) => of(contender).p75)) * HEADROOM;
  const y = (value: number): number => round(bottom - (value / largest) * PLOT.height);
  const pitch = Math.min(56, (width * 0.9) / item.contenders.length);
  const start = left + (width - pitch * item.contenders.length) / 2;
  const line = (height: number): string =>
    `<line class="grid" x1="${round(left + 6)}" x2="${round(left + width - 6)}" y1="${round(height)}" y2="${round(height)}"/>`;
  return [
    ...Array.from({ length: STEPS + 1 }, (_, index) => line(bottom - (index * PLOT.height) / STEPS)),
    ...item.contenders.flatMap((contender, index) => {
      const { p25, median, p75 } = of(contender);
      const x = start + index * pitch;
      const middle = round(x + pitch / 2);
      const text = number(median);
      return [
        `<rect class="bar" x="${round(x + 2)}" y="${y(median)}" width="${round(pitch - 4)}" height="${round(bottom - y(median))}" fill="${colours.get(contender.name) ?? ''}"><title>${xmlText(contender.name)}: ${text}</title></rect>`,
        `<line class="range" x1="${middle}" x2="${middle}" y1="${y(p25)}" y2="${y(p75)}"/>`,
        `<text x="${middle}" y="${round(y(p75) - 4)}" text-anchor="middle" font-size="9" font-weight="600">${text}</text>`,
      ];
    }),
    `<text x="${round(left + width / 2)}" y="${bottom + 16}" text-anchor="middle">${xmlText(item.name)}</text>`,
  ];
}
