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
  /** What it must take more of than this, as a multiple of the baseline's time. */
  readonly minRatio?: number;
  /** What {@link run} must return: something equal to this, and not this object itself. */
  readonly expected: unknown;
  /** One whole operation. May return a promise: the next one starts when it is settled. */
  readonly run: () => unknown;
  /** Turns what {@link run} returned into what is expected, where that is ciphertext. Not timed. */
  readonly restore?: (result: unknown) => unknown;
}

/** One input, the same for every contender. */
export interface Case {
  readonly name: string;
  /** Bytes of payload in one operation, where a throughput makes sense. */
  readonly bytes?: number;
  /** Where it stands in a picture of several panels. */
  readonly place?: Place;
  readonly contenders: readonly Contender[];
}

export interface Place {
  readonly panel: string;
  /** Name within the panel. */
  readonly group: string;
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
  /** How its picture is drawn; `panels` needs a place for every case. @default 'bars' */
  readonly picture?: 'bars' | 'panels';
  /** Rounds that count, where the usual number would be more than the question needs. */
  readonly rounds?: number;
  /** Length of a slice in milliseconds, where it is not the usual one. */
  readonly sliceMs?: number;
  /** Builds the inputs. Called once per run, before anything is measured. */
  readonly cases: () => readonly Case[] | Promise<readonly Case[]>;
  /** Gives up what {@link cases} opened: the process ends when nothing is open. */
  readonly close?: () => Promise<void>;
}
