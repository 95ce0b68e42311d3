import { createPostgresDatabase } from '@keywright/testkit';
import type { Spread } from '../../statistics.ts';
import type { StressRun } from '../stress-run.ts';
import type { Phase, Rotation } from './protocol.ts';
import { type PhaseResult, type RotationResult, stressRotation } from './run.ts';

/** The least that a rotation may reach of the speed of the bare loop, in each table. */
export const MIN_SHARE = 0.5;

/** Memory that the process may take more after its second slice: the rows must not pile up in it. */
const MAX_GROWTH_MIB = 128;

const SHOWN = 5;
const BATCH_ROWS = 1_000;
const SIZES = { root: { full: 100_000, quick: 20_000 }, tenant: { full: 1_000_000, quick: 20_000 } } as const;
const SLICES = { full: 40, quick: 16 } as const;
const KILLS = [4, 9, 14, 19];

const ROWS: Readonly<Record<Phase, string>> = {
  'tenant-keys': 'tenant keys',
  'data-keys': 'data keys',
  bindings: 'bindings',
};

/** Every tenant's key is put under another root key. */
export const rotateRootRun: StressRun = runOf('root', 'rotate-root');

/** Everything of one large tenant is put under another key. */
export const rotateTenantRun: StressRun = runOf('tenant', 'rotate-tenant');

function runOf(rotation: Rotation, name: string): StressRun {
  return {
    name,
    async run({ serverUrl, size, progress }) {
      const { url, drop } = await createPostgresDatabase(serverUrl);
      const shape = {
        rotation,
        rows: SIZES[rotation][size],
        batchRows: BATCH_ROWS,
        slices: SLICES[size],
        kills: KILLS,
      };
      const result = await stressRotation({ url, ...shape, progress });
      await drop();
      return { section: rotationSection(result), problems: rotationProblems(result) };
    },
  };
}

export function rotationProblems({ lost, leftOver, phases, readProblems, reads, rssMiB }: RotationResult): string[] {
  const growth = rssMiB.most - rssMiB.early;
  return [
    ...(lost === 0 ? [] : [`${lost} rows do not open`]),
    ...(leftOver === 0 ? [] : [`${leftOver} rows are under the old key`]),
    ...readProblems.slice(0, SHOWN).map((problem) => `while it ran: ${problem}`),
    // A run without them would prove nothing.
    ...(reads > 0 ? [] : ['nothing was read']),
    ...(growth <= MAX_GROWTH_MIB ? [] : [`memory grew by ${Math.round(growth)} MiB`]),
    ...phases
      .filter(({ share }) => share.median < MIN_SHARE)
      .map(
        ({ phase, share }) => `${ROWS[phase]}: ${share.median.toFixed(2)} of the bare loop's speed, below ${MIN_SHARE}`,
      ),
  ];
}

export function rotationSection(result: RotationResult): string {
  const { rows, killed, lost, leftOver, reads, readProblems, phases, rssMiB } = result;
  const mib = (value: number): string => `${Math.round(value)} MiB`;
  return `${result.rotation === 'root' ? aboutRoot(rows) : aboutTenant(rows)}

The process that rotates is killed (SIGKILL) at a batch that nobody knows beforehand, and another goes on. A third process
reads secrets all the while, mostly with keys that are not in its memory. In turns with the rotation, slice by slice,
another process does the bare loop on a copy of the tables with the same indexes: it reads the same columns in the order of
the key and writes back what it has read by \`unnest\`, in batches of the same size; it changes no value, so the database
checks no foreign key for it. In the end every row is opened by what is not the store's code, with the new key alone.

| what | result |
| :--- | ---: |
| ${result.rotation === 'root' ? 'tenants' : 'secrets'} | ${count(rows)} |
| processes killed | ${killed} |
| rows that do not open as they did | ${count(lost)} |
| rows still under the old key | ${count(leftOver)} |
| reads while it ran | ${count(reads)} |
| of them refused or wrong | ${count(readProblems.length)} |
| memory of the process after its second slice, and at most | ${mib(rssMiB.early)}, ${mib(rssMiB.most)} |
${phases.map(rowsOf).join('\n')}

Speeds are medians over the slices, in parentheses the range of the middle half, without what a call does at its start.`;
}

function aboutRoot(rows: number): string {
  return `## Rotating the root key

\`rotateRoot()\` puts the keys of ${count(rows)} tenants under another root key, a keyring in its memory.`;
}

function aboutTenant(rows: number): string {
  return `## Rotating a tenant's key

\`rotateTenant()\` gives a tenant with ${count(rows)} secrets another key: it rewraps the data key of every version and makes
the binding of every secret anew.`;
}

function rowsOf({ phase, ours, bare, share }: PhaseResult): string {
  return `| ${ROWS[phase]} per second | ${rate(ours)} |
| bare loop, rows per second | ${rate(bare)} |
| speed as a part of the bare loop's | ${share.median.toFixed(2)} (${share.p25.toFixed(2)}–${share.p75.toFixed(2)}), at least ${MIN_SHARE.toFixed(2)} |`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

/** From microseconds per row. */
function rate({ p25, median, p75 }: Spread): string {
  const perSecond = (time: number): string => count(Math.round(1_000_000 / time / 100) * 100);
  return `${perSecond(median)} (${perSecond(p75)}–${perSecond(p25)})`;
}
