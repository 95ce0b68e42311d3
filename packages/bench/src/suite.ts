/**
 * What a contender is there for.
 * - `baseline`: every ratio is a multiple of its time. Exactly one in a case.
 * - `subject`: code of this workspace.
 * - `peer`: other code for the same task.
 * - `limit`: does less than the task, and shows how little time that takes.
 */
export type Role = 'baseline' | 'subject' | 'peer' | 'limit';

/** One way to do the work of a case. */
export interface Contender {
  readonly name: string;
  readonly role: Role;
  /** The most that it may take, as a multiple of the baseline's time. */
  readonly maxRatio?: number;
  /** What {@link run} must return: something equal to this, and not this object itself. */
  readonly expected: unknown;
  /** One whole operation. May return a promise. */
  readonly run: () => unknown;
}

/** One input, the same for every contender. */
export interface Case {
  readonly name: string;
  /** Bytes of payload in one operation, where a throughput makes sense. */
  readonly bytes?: number;
  readonly contenders: readonly Contender[];
}

/** Cases about one question. One file in `suites/` each, listed in `suites/index.ts`. */
export interface Suite {
  /** What the command line calls it; also the name of its picture. */
  readonly name: string;
  readonly title: string;
  /** Markdown: what each contender does, what is left out. */
  readonly about: string;
  /** What is timed, such as `round trip`. */
  readonly operation: string;
  /** Builds the inputs. Called once per run, before anything is measured. */
  readonly cases: () => readonly Case[] | Promise<readonly Case[]>;
}
