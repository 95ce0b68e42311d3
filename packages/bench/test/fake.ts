import type { Slice } from '../src/slice.ts';
import type { Case, Contender, Suite } from '../src/suite.ts';

/** A clock that counts units of work instead of time, so ratios are exact. */
export class WorkClock {
  #units = 0;

  contender(name: string, units: number, rest: Partial<Contender> = {}): Contender {
    return {
      name,
      role: 'peer',
      expected: 'done',
      run: () => {
        this.#units += units;
        return 'done';
      },
      ...rest,
    };
  }

  readonly slice: Slice = async (run) => {
    const before = this.#units;
    await run();
    const time = (this.#units - before) * 1000;
    return { median: time, mean: time };
  };
}

export function suiteOf(contenders: readonly Contender[], rest: Partial<Suite & Case> = {}): Suite {
  return {
    name: rest.name ?? 'fake',
    title: 'Fakes',
    about: 'Two contenders.',
    operation: 'call',
    cases: () => [{ name: 'small', bytes: 500, contenders }],
    ...rest,
  };
}
