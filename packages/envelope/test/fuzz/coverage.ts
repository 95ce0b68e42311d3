import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface Result {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly { readonly ranges: readonly Range[] }[];
  }[];
}

/** Which parts of the package's sources have run, by the engine's own account. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Map<string, Uint8Array>();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.take();
  }

  /** Characters of source that have run for the first time since the last call. */
  take(): number {
    return this.#gained(true);
  }

  /** Whether anything has run for the first time since the last call; what it was is not kept. */
  peek(): boolean {
    return this.#gained(false) > 0;
  }

  /** Forgets what has run since the last call. */
  skip(): void {
    this.#session.post('Profiler.takePreciseCoverage');
  }

  stop(): void {
    this.#session.disconnect();
  }

  #gained(keep: boolean): number {
    let gained = 0;
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error) throw error;
      for (const { url, functions } of (taken as unknown as Result).result) {
        if (!url.includes('/envelope/src/')) continue;
        for (const { ranges } of functions) if ((ranges[0]?.count ?? 0) > 0) gained += this.#add(url, ranges, keep);
      }
    });
    return gained;
  }

  /** Ranges nest: the innermost that holds a character counts. */
  #add(url: string, ranges: readonly Range[], keep: boolean): number {
    const [whole] = ranges as readonly [Range];
    const ran = new Uint8Array(whole.endOffset - whole.startOffset);
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
    }
    let seen = this.#seen.get(url) ?? new Uint8Array(0);
    if (seen.length < whole.endOffset) {
      const longer = new Uint8Array(2 * whole.endOffset);
      longer.set(seen);
      this.#seen.set(url, longer);
      seen = longer;
    }
    let gained = 0;
    for (let index = 0; index < ran.length; index++) {
      if (ran[index] === 0 || seen[whole.startOffset + index] === 1) continue;
      if (keep) seen[whole.startOffset + index] = 1;
      gained++;
    }
    return gained;
  }
}
