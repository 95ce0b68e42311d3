import type { KeywrightError, Logger } from '@keywright/envelope';
import { databaseError } from '../internal/database-error.ts';
import { Bell } from './bell.ts';
import type { ChangePage, Start } from './source.ts';

/** What {@link follow} polls, and how. */
export interface FollowOptions<Position> {
  readonly from: Start<Position>;
  readonly pollMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Rings when a poll should not wait for its time. */
  readonly bell: Bell;
  /** Whether waiting keeps the process alive. */
  readonly ref: boolean;
  readonly logger: Logger | undefined;
  read(from: Start<Position>): Promise<ChangePage<Position>>;
}

/** A poll that was answered, or the first of some that were not. */
export type Followed<Position> =
  | {
      readonly page: ChangePage<Position>;
      /** When it was asked, by `performance.now()`. */
      readonly askedAt: number;
      /** Whether earlier ones were not answered. */
      readonly resumed: boolean;
    }
  | { readonly gap: KeywrightError };

const MAX_PAUSE_MS = 30_000;

// Nothing rings it: an outage is waited out.
const silent = new Bell();

/**
 * Polls for ever, each time the consumer asks for more: nothing is read ahead of one that is behind. A database that
 * does not answer is asked again ever more rarely, at least every 30 seconds.
 *
 * @throws SecretsError what asking again cannot mend
 */
export async function* follow<Position>(options: FollowOptions<Position>): AsyncGenerator<Followed<Position>, void> {
  const { signal, logger, pollMs, bell, ref } = options;
  let { from } = options;
  let failures = 0;
  while (!signal.aborted) {
    const { rings } = bell;
    const askedAt = performance.now();
    const answer = await orAborted(answered(options, from), signal);
    if (answer === undefined) return;
    if ('gap' in answer) {
      if (!answer.gap.retryable) throw answer.gap;
      if (failures++ === 0) {
        logger?.warn(`The change feed is interrupted: ${answer.gap.code}.`);
        yield answer;
      }
      const ms = Math.min(MAX_PAUSE_MS, 100 * 2 ** failures) * (0.5 + Math.random() / 2);
      await silent.after(0, ms, signal, ref);
      continue;
    }
    const { page } = answer;
    if (failures > 0) logger?.info('The change feed has resumed.');
    yield { page, askedAt, resumed: failures > 0 };
    failures = 0;
    from = page.next;
    if (!page.more) await bell.after(rings, pollMs, signal, ref);
  }
}

async function answered<Position>(
  { read }: FollowOptions<Position>,
  from: Start<Position>,
): Promise<{ readonly page: ChangePage<Position> } | { readonly gap: KeywrightError }> {
  try {
    return { page: await read(from) };
  } catch (error) {
    return { gap: databaseError(error, 'watch') };
  }
}

/** What `work` resolves to, or `undefined` if the signal is faster. `work` does not reject. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const done = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true, signal: done.signal });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    done.abort();
  }
}
