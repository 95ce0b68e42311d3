import type { Section } from './section.ts';
import { markdownTable } from './table.ts';

const PREAMBLE = `# Benchmarks

Written by \`npm run bench\`, which exits with 1 if a budget is not met. The code is in \`packages/bench\`.

## Method

Figures of two machines, or of two hours on one machine, cannot be compared; ratios of one run can. So every ratio here
is taken within a run:

- The contenders of a case get the same input. Each is run once and its result compared before anything is measured.
- They are measured in turns: a round gives each a slice of some tens of milliseconds, in an order that changes from
  round to round. A first round to warm up does not count, nor do the first calls of a slice. The heap is
  collected before it. [mitata](https://github.com/evanwashere/mitata) times the calls.
- The allocator is settled first: a large block is allocated and freed, after which glibc keeps freed memory, as it does
  in a process that has run for a while. In one that has just started, buffers of 64 KiB and more may be given back and
  faulted in again at every call. Everything then takes longer, and what makes more copies is hit harder.
- A contender's time in a round is its median call. **ratio** is that time over the baseline's in the same round: the
  median over the rounds, and as **quartiles** the range that the middle half of the rounds is in.
- **of means** is the same ratio from mean instead of median calls. It includes the garbage collections that the calls
  cause, and also what other programs take from the machine, so it varies more from run to run.
- Times and MB/s (10^6 bytes of payload through one operation, there and back) are medians over the rounds. They say
  what to expect of this machine only.
- **budget** is the largest ratio that is accepted, or for a peer, with >, the one it must exceed. It is compared with the
  median as printed.

What works on a database is measured with many callers at once, in one Node process with its server on the same machine:

- A slice is a second or two. Each caller makes its next call when the last one is answered. The figures are the calls that
  ended in the slice, and the median (**p50**) and 99th percentile (**p99**) of what a call took. Here **ratio** is of
  throughputs, so more is better, and a budget (≥) is the least that is accepted unless it is one of p50 (≤).
- Contenders work on the same server with pools of the same size, on tables of the same definition and indexes, in turns.
- The server is PostgreSQL 18 with its default settings but \`fsync\`, which is off: a commit waits for its log to be
  written and not for a disk. Where a disk is slow, what commits less often gains more than is shown here.`;

export interface Measured {
  /** Day, as YYYY-MM-DD. */
  readonly date: string;
  readonly machine: string;
}

/**
 * `docs/benchmarks.md` with the sections of these suites written anew. Sections of suites that did not run this time
 * are taken from `previous`; those of suites that are no longer listed in `order` go.
 */
export function documentOf(
  results: readonly Section[],
  measured: Measured,
  previous: string,
  order: readonly string[],
): string {
  const sections = order.flatMap((name) => {
    const result = results.find((section) => section.name === name);
    const section = result ? sectionOf(result, measured) : sectionIn(previous, name);
    return section === undefined ? [] : [section];
  });
  return `${[PREAMBLE, ...sections].join('\n\n')}\n`;
}

function sectionOf(section: Section, { date, machine }: Measured): string {
  const { name, title, about, caption, tables, method } = section;
  return [
    opening(name),
    `## ${title}`,
    about,
    `![${caption}](benchmarks/${name}.svg)`,
    ...tables.map(markdownTable),
    `Measured ${date} ${method} ${machine}.`,
    closing(name),
  ].join('\n\n');
}

function sectionIn(document: string, name: string): string | undefined {
  const start = document.indexOf(opening(name));
  const end = document.indexOf(closing(name), start);
  return start < 0 || end < 0 ? undefined : document.slice(start, end + closing(name).length);
}

function opening(name: string): string {
  return `<!-- suite ${name} -->`;
}

function closing(name: string): string {
  return `<!-- end of suite ${name} -->`;
}
