/** Where a stress run does its work. */
export interface StressEnvironment {
  /** Address of the superuser of a PostgreSQL server. */
  readonly serverUrl: string;
  /** `quick` does everything with less, in about half a minute, and is not for the document. */
  readonly size: 'full' | 'quick';
  /** Hears of what takes long. */
  readonly progress: (line: string) => void;
}

/** What a run came to. */
export interface StressOutcome {
  /** Markdown of its section, heading included. */
  readonly section: string;
  /** A line for everything that should not be; none if it went as it must. */
  readonly problems: readonly string[];
}

/** One long run at full size. Listed in `runs.ts`. */
export interface StressRun {
  /** What the command line calls it. */
  readonly name: string;
  run(environment: StressEnvironment): Promise<StressOutcome>;
}
