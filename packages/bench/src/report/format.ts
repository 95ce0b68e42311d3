import type { Spread } from '../statistics.ts';

const UNITS = [
  { name: 's', nanoseconds: 1e9 },
  { name: 'ms', nanoseconds: 1e6 },
  { name: 'µs', nanoseconds: 1e3 },
  { name: 'ns', nanoseconds: 1 },
] as const;

/** Three significant digits in the largest unit that leaves at least 1. */
export function formatTime(nanoseconds: number): string {
  const unit = UNITS.find((candidate) => nanoseconds >= candidate.nanoseconds) ?? UNITS[3];
  return `${digits(nanoseconds / unit.nanoseconds)} ${unit.name}`;
}

/** Payload per second in units of 10^6 bytes; `–` without a payload. */
export function formatThroughput(bytes: number | undefined, nanoseconds: number): string {
  return bytes === undefined ? '–' : digits((bytes / nanoseconds) * 1e3);
}

/** Three significant digits at most, in thousands where that is shorter: `25.8k`. */
export function formatCount(count: number): string {
  return count >= 1000 ? `${digits(count / 1000)}k` : digits(count);
}

export function formatRatio(ratio: number): string {
  return ratio.toFixed(2);
}

export function formatQuartiles(ratio: Spread): string {
  return `${formatRatio(ratio.p25)}–${formatRatio(ratio.p75)}`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
