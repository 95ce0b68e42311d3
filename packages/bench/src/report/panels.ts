import type { CaseResult, ContenderResult } from '../measure.ts';
import type { SuiteResult } from '../run.ts';
import { coloursOf, framed, legendOf, round, TOP, xmlText } from './svg.ts';

const PLOT = { left: 48, right: 804, height: 130 };
/** A panel's title above its plot, the names of the groups below. */
const ABOVE = 34;
const BELOW = 26;
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
/** Bars start at the highest of these that leaves the lowest bar to be seen. */
const FLOORS = [0.05, 0.1, 0.2, 0.5];
/** Room for the number above the highest bar. */
const HEADROOM = 1.8;

interface Scale {
  readonly floor: number;
  readonly largest: number;
}

/** An SVG of the ratios on a logarithmic scale: a panel for each operation, in it a group of bars for each size. */
export function panelsOf({ suite, cases }: SuiteResult): string {
  const colours = coloursOf(cases);
  const legend = legendOf(colours);
  const names = [...new Set(cases.map((item) => item.place?.panel ?? ''))];
  const scale = scaleOf(cases);
  const step = ABOVE + PLOT.height + BELOW;
  const top = TOP + legend.height;
  const panels = names.flatMap((name, index) => {
    const own = cases.filter((item) => (item.place?.panel ?? '') === name);
    return panelOf(name, own, colours, scale, top + index * step);
  });
  const title = `${suite.title}: time as a multiple of the baseline's, logarithmic`;
  return framed(title, top + names.length * step + 8, [...legend.marks, ...panels]);
}

function scaleOf(cases: readonly CaseResult[]): Scale {
  const ratios = cases.flatMap((item) => item.contenders.map(({ ratio }) => ratio.median));
  const smallest = Math.min(1, ...ratios);
  return {
    floor: FLOORS.findLast((floor) => floor < 0.7 * smallest) ?? smallest / 2,
    largest: Math.max(2, ...ratios) * HEADROOM,
  };
}

function ticksOf(floor: number, largest: number): readonly number[] {
  return TICKS.filter((tick) => tick >= floor && tick <= largest);
}

function panelOf(
  name: string,
  cases: readonly CaseResult[],
  colours: ReadonlyMap<string, string>,
  { floor, largest }: Scale,
  top: number,
): string[] {
  const bottom = top + ABOVE + PLOT.height;
  const y = (ratio: number) => round(bottom - (Math.log(ratio / floor) / Math.log(largest / floor)) * PLOT.height);
  const width = (PLOT.right - PLOT.left) / cases.length;
  return [
    `<text x="${PLOT.left}" y="${top + 24}" font-weight="600">${xmlText(name)}</text>`,
    ...ticksOf(floor, largest).flatMap((tick) => [
      `<line class="${tick === 1 ? 'one' : 'grid'}" x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(tick)}" y2="${y(tick)}"/>`,
      `<text x="${PLOT.left - 8}" y="${round(y(tick) + 4)}" text-anchor="end" font-size="10">${tick}</text>`,
    ]),
    ...cases.flatMap((item, index) => {
      const left = PLOT.left + index * width;
      const pitch = Math.min(44, (width * 0.9) / item.contenders.length);
      const start = left + (width - pitch * item.contenders.length) / 2;
      return [
        ...item.contenders.flatMap((contender, place) =>
          barOf(contender, start + place * pitch, pitch, colours.get(contender.name) ?? '', y, bottom),
        ),
        `<text x="${round(left + width / 2)}" y="${bottom + 16}" text-anchor="middle">${xmlText(item.place?.group ?? item.name)}</text>`,
      ];
    }),
  ];
}

function barOf(
  { name, ratio }: ContenderResult,
  left: number,
  width: number,
  colour: string,
  y: (ratio: number) => number,
  bottom: number,
): string[] {
  const top = y(ratio.median);
  const number = shortRatio(ratio.median);
  return [
    `<rect class="bar" x="${round(left + 2)}" y="${top}" width="${round(width - 4)}" height="${round(bottom - top)}" fill="${colour}"><title>${xmlText(name)}: ${number}</title></rect>`,
    `<text x="${round(left + width / 2)}" y="${round(top - 4)}" text-anchor="middle" font-size="10" font-weight="600">${number}</text>`,
  ];
}

/** Three digits at most: there is no room for more above a bar. */
function shortRatio(ratio: number): string {
  return ratio >= 100 ? ratio.toFixed(0) : ratio >= 10 ? ratio.toFixed(1) : ratio.toFixed(2);
}
