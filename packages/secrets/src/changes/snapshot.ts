/**
 * A PostgreSQL snapshot: which transactions had committed when it was taken. Its text is `xmin:xmax:xip,xip,…`: those
 * from `xmax` on had not begun, those of `xip` were in progress; of all others it sees what they left.
 */
export interface Snapshot {
  readonly xmin: string;
  readonly xmax: string;
  readonly xip: readonly string[];
}

// Below 2^64, whatever the digits.
const FORM = /^(\d{1,19}):(\d{1,19}):((?:\d{1,19}(?:,\d{1,19})*)?)$/;

export function parseSnapshot(text: unknown): Snapshot | undefined {
  const match = typeof text === 'string' ? FORM.exec(text) : null;
  if (match === null) return undefined;
  const [, xmin = '', xmax = '', xip = ''] = match;
  return { xmin, xmax, xip: xip === '' ? [] : xip.split(',') };
}

export function snapshotText({ xmin, xmax, xip }: Snapshot): string {
  return `${xmin}:${xmax}:${xip.join()}`;
}
