import type { Slice, SliceTimes } from './slice.ts';
import { type Spread, spread } from './statistics.ts';
import type { Case, Contender, Place, Role } from './suite.ts';

export interface ContenderResult {
  readonly name: string;
  readonly role: Role;
  readonly maxRatio: number | undefined;
  readonly minRatio: number | undefined;
  /** Nanoseconds per operation: the median call of a slice, over the rounds. */
  readonly time: Spread;
  /** Multiple of the baseline's time in the same round, over the rounds. */
  readonly ratio: Spread;
  /** The same of mean calls, which garbage collections are part of. Less steady. */
  readonly meanRatio: Spread;
}

export interface CaseResult {
  readonly name: string;
  readonly bytes: number | undefined;
  readonly place: Place | undefined;
  readonly contenders: readonly ContenderResult[];
}

export interface MeasureOptions {
  /** Rounds that count; one more goes before them, to warm up. */
  readonly rounds: number;
  readonly slice: Slice;
  /** Hears of each round that is over. @default silence */
  readonly onRound?: (round: number, rounds: number) => void;
}

/**
 * Measures the contenders of a case in rounds: a slice of each per round, in an order that changes from round to round.
 * Ratios are taken within a round and only then summarised, so what slows the machine for seconds slows both sides.
 *
 * Precondition: the case has passed `checkCase`.
 */
export async function measureCase(item: Case, options: MeasureOptions): Promise<CaseResult> {
  const times = new Map<Contender, SliceTimes[]>(item.contenders.map((contender) => [contender, []]));
  for (let round = 0; round <= options.rounds; round++) {
    for (const contender of orderOf(item.contenders, round)) {
      const slice = await options.slice(contender.run);
      if (round > 0) times.get(contender)?.push(slice);
    }
    if (round > 0) options.onRound?.(round, options.rounds);
  }
  const baseline = [...times].find(([contender]) => contender.role === 'baseline')?.[1] ?? [];
  return {
    name: item.name,
    bytes: item.bytes,
    place: item.place,
    contenders: [...times].map(([{ name, role, maxRatio, minRatio }, own]) => ({
      name,
      role,
      maxRatio,
      minRatio,
      time: spread(own.map(({ median }) => median)),
      ratio: spread(own.map(({ median }, round) => median / (baseline[round]?.median ?? Number.NaN))),
      meanRatio: spread(own.map(({ mean }, round) => mean / (baseline[round]?.mean ?? Number.NaN))),
    })),
  };
}

/** Rotated by the round, and backwards in every other one: nobody always runs first, or always after the same one. */
export function orderOf<T>(items: readonly T[], round: number): T[] {
  const start = round % items.length;
  const rotated = [...items.slice(start), ...items.slice(0, start)];
  return round % 2 === 0 ? rotated : rotated.toReversed();
}
