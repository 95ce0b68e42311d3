import type { Role } from '../suite.ts';

export const WIDTH = 820;
/** Where the legend begins. */
export const TOP = 44;
const LEGEND_ROW = 20;
/** Average width of a character of the legend's text; only an estimate, so generous. */
const LEGEND_CHARACTER = 7;

const PEERS = ['#3b7dc4', '#7a67d8', '#2a8a70', '#9a7b12'];
const SUBJECTS = ['#d9480f', '#f08c46', '#a8410a', '#b58b6d'];
const COLOURS: Readonly<Record<'limit' | 'baseline', string>> = { limit: '#6e7781', baseline: '#1f5591' };

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

/** A case of any kind. */
interface Coloured {
  readonly contenders: readonly { readonly name: string; readonly role: Role }[];
}

/** A picture of these marks below its title. */
export function framed(title: string, height: number, marks: readonly string[]): string {
  const text = xmlText(title);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">`,
    `<title>${text}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    `<text x="16" y="26" font-size="15" font-weight="600">${text}</text>`,
    ...marks,
    '</svg>',
    '',
  ].join('\n');
}

/** A colour for each contender, in the order of the legend. */
export function coloursOf(cases: readonly Coloured[]): ReadonlyMap<string, string> {
  const colours = new Map<string, string>();
  let peers = 0;
  let subjects = 0;
  for (const { name, role } of cases.flatMap((item) => item.contenders)) {
    if (colours.has(name)) continue;
    if (role === 'peer') colours.set(name, PEERS[peers++ % PEERS.length] as string);
    else if (role === 'subject') colours.set(name, SUBJECTS[subjects++ % SUBJECTS.length] as string);
    else colours.set(name, COLOURS[role]);
  }
  return colours;
}

export function legendOf(colours: ReadonlyMap<string, string>): { marks: string[]; height: number } {
  const marks: string[] = [];
  let x = 16;
  let row = 0;
  for (const [name, colour] of colours) {
    const width = 34 + name.length * LEGEND_CHARACTER;
    if (x > 16 && x + width > WIDTH) {
      x = 16;
      row++;
    }
    const y = TOP + row * LEGEND_ROW;
    marks.push(
      `<rect x="${x}" y="${y}" width="12" height="12" rx="2" fill="${colour}"/>`,
      `<text x="${x + 18}" y="${y + 10}">${xmlText(name)}</text>`,
    );
    x += width;
  }
  return { marks, height: (row + 1) * LEGEND_ROW };
}

/** To a tenth of a pixel. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

export function xmlText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
