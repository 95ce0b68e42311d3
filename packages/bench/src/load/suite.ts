import type { Role } from '../suite.ts';

/** What one of a contender's figures has to be, as a multiple of another contender's in the same round. */
export interface Budget {
  readonly measure: 'throughput' | 'p50';
  /** Name of the contender that it is compared with. */
  readonly against: string;
  /** The least that is accepted. */
  readonly least?: number;
  /** The most that is accepted. */
  readonly most?: number;
}

/** One way to do the operations of a case, for any number of callers at once. */
export interface LoadContender {
  readonly name: string;
  readonly role: Role;
  /** One call of one of the callers, numbered from 0; each makes its next one when this has settled. */
  readonly call: (caller: number) => Promise<unknown>;
  /** Operations that a call does. @default 1 */
  readonly operations?: number;
  /** Callers, where they are not as many as the case has. */
  readonly callers?: number;
  /** Throws unless a call does what it should, its audit rows included. Run once, before anything is measured. */
  readonly check: () => Promise<void>;
  /** Run before each slice and not timed. */
  readonly before?: () => Promise<void>;
  /** Run after each slice and not timed. */
  readonly after?: () => Promise<void>;
  readonly budgets?: readonly Budget[];
}

export interface LoadCase {
  readonly name: string;
  readonly callers: number;
  /** A slice is one call instead of a time: what is called uses up what was prepared for it. @default false */
  readonly once?: boolean;
  readonly contenders: readonly LoadContender[];
}

export interface LoadEnvironment {
  /** Address of the superuser of a PostgreSQL server. */
  readonly serverUrl: string;
  /** `quick` is for tests: everything happens, with few rows. */
  readonly size: 'full' | 'quick';
  /** Hears of what takes long. */
  readonly progress: (line: string) => void;
}

export interface OpenedSuite {
  readonly cases: readonly LoadCase[];
  /** For the document: how much there was to work on. */
  readonly facts: string;
  close(): Promise<void>;
}

/** Cases with many callers at once, on a database of their own. */
export interface LoadSuite {
  readonly kind: 'load';
  /** What the command line calls it; also the name of its picture. */
  readonly name: string;
  readonly title: string;
  /** Markdown: what each contender does, what is left out. */
  readonly about: string;
  /** What is counted, in the plural: `gets`. */
  readonly operations: string;
  /** Rounds that count; one more goes before them, to warm up. */
  readonly rounds: number;
  readonly sliceMs: number;
  /** What it needs and this machine lacks. @default nothing */
  readonly missing?: () => string | undefined;
  /** Makes its database. Called once per run. */
  open(environment: LoadEnvironment): Promise<OpenedSuite>;
}
