import { isKeywrightError, rawCause } from '@keywright/envelope';
import { type DriverCall, KmsError, type KmsErrorCode } from '@keywright/kms';
import { Connection, type ConnectionSettings } from './connection.ts';
import { CKR } from './constants.ts';
import { failedWith, kmsErrorOf, type Loss, lossOf, TokenLost } from './failures.ts';
import { joinLibrary, type Library, type LibrarySource, type LibraryUser } from './library.ts';
import type { Session } from './session.ts';
import type { Turn } from './turn.ts';

/** Pauses before a connection is tried again, in milliseconds; as long again by chance. */
const PAUSES_MS = [25, 50, 100, 200, 400];
/** How long a refused connection stays refused: a token that is away is not asked by every call. */
const REFUSED_MS = 250;
/** How long a new connection waits for calls on the old one, and the end for those on the last. */
const DRAIN_MS = 1_000;
const CLOSE_MS = 2_500;

export interface LinkSettings extends LibrarySource, ConnectionSettings {
  /** Calls that may wait for a session. */
  readonly maxWaiting: number;
}

interface Job extends Turn {
  readonly work: (session: Session, turn: Turn) => Promise<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
  settled: boolean;
  repeated: boolean;
}

/**
 * The way to one token: calls wait here for one of its sessions, and through the loss of the token. A session whose call
 * was given up serves again when the library has returned from it.
 */
export class TokenLink implements LibraryUser {
  readonly #settings: LinkSettings;
  readonly #jobs = new Set<Job>();
  readonly #waiting: Job[] = [];
  #library: Library | undefined;
  #connection: Connection | undefined;
  /** The last one, lost or not: what was learned of the token. */
  #last: Connection | undefined;
  #connecting: Promise<void> | undefined;
  #restart = false;
  #refused: { readonly error: KmsError; readonly until: number } | undefined;
  #inUse = 0;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
  }

  /** What was last seen of the token. */
  get seen(): Connection | undefined {
    return this.#last;
  }

  /** Does work on a session when one is free, once more if the token was lost before the work had an effect. */
  run<T>(call: DriverCall, work: (session: Session, turn: Turn) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) return reject(new KmsError('ERR_KMS_CLOSED'));
      if (this.#waiting.length >= this.#settings.maxWaiting) return reject(new KmsError('ERR_KMS_THROTTLED'));
      const { deadline, callerSignal: signal } = call;
      const job: Job = {
        work,
        resolve,
        reject,
        deadline,
        signal,
        onAbort: undefined,
        begun: false,
        settled: false,
        repeated: false,
      };
      if (signal !== undefined) {
        job.onAbort = () => this.#settle(job, new KmsError('ERR_KMS_ABORTED'));
        signal.addEventListener('abort', job.onAbort, { once: true });
      }
      this.#jobs.add(job);
      if (deadline < this.#timerAt) this.#watch(deadline);
      this.#waiting.push(job);
      this.#serve();
    });
  }

  get isConnected(): boolean {
    return this.#connection?.answers() === true;
  }

  dropConnection(): void {
    this.#connection?.drop();
    this.#connection = undefined;
  }

  resume(): void {
    this.#serve();
  }

  /** Ends all calls, waits a while for those that are in the library, and closes the sessions. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#settleAll('ERR_KMS_CLOSED');
    clearTimeout(this.#timer);
    await this.#connecting;
    this.dropConnection();
    await this.#unused(CLOSE_MS);
    await this.#library?.leave(this);
    this.#library = undefined;
  }

  #serve(): void {
    while (this.#waiting.length > 0) {
      if (this.#library?.held) return;
      if (this.#connection === undefined) {
        this.#connect();
        return;
      }
      const session = this.#take(this.#connection);
      if (session === undefined) return;
      const job = this.#next();
      if (job === undefined) session.connection.giveBack(session);
      else void this.#do(job, session);
    }
  }

  #next(): Job | undefined {
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) if (!job.settled) return job;
    return undefined;
  }

  #take(connection: Connection): Session | undefined {
    try {
      return connection.take();
    } catch (error) {
      this.#lose(connection, lossOf(error) ?? 'sessions');
      this.#connect();
      return undefined;
    }
  }

  async #do(job: Job, session: Session): Promise<void> {
    const { connection } = session;
    this.#inUse++;
    connection.library.begin();
    try {
      const result = await job.work(session, job);
      connection.giveBack(session);
      this.#settle(job, undefined, result);
    } catch (error) {
      this.#failed(job, session, error);
    }
    session.lent = undefined;
    connection.library.end();
    this.#inUse--;
    this.#serve();
  }

  #failed(job: Job, session: Session, error: unknown): void {
    const { connection } = session;
    const seen = lossIn(error, session);
    // The login ends with the last session.
    const loss = seen === 'operation' && connection.opened === 1 ? 'sessions' : seen;
    if (loss === 'operation') connection.discard(session);
    else connection.giveBack(session);
    if (loss === 'sessions' || loss === 'token') {
      if (failedWith(error, CKR.CRYPTOKI_NOT_INITIALIZED)) connection.library.wasStopped();
      this.#lose(connection, loss);
    }
    if (loss === undefined || job.repeated || job.begun || job.settled || this.#closed) {
      this.#settle(job, kmsErrorOf(error));
      return;
    }
    job.repeated = true;
    this.#waiting.unshift(job);
  }

  /** Only the first to notice the loss of a connection drops it: the others' may be the next one. */
  #lose(connection: Connection, loss: Loss): void {
    if (this.#connection !== connection) return;
    this.dropConnection();
    this.#restart ||= loss === 'token';
  }

  #connect(): void {
    if (this.#connecting !== undefined || this.#closed) return;
    if (this.#refused !== undefined && performance.now() < this.#refused.until) {
      this.#refuseWaiting(this.#refused.error);
      return;
    }
    this.#refused = undefined;
    this.#connecting = this.#keepConnecting().finally(() => {
      this.#connecting = undefined;
      this.#serve();
    });
  }

  async #keepConnecting(): Promise<void> {
    for (let attempt = 0; !this.#closed && this.#isWanted(); attempt++) {
      try {
        await this.#open();
        return;
      } catch (error) {
        const refusal = asKmsError(error);
        const wait = PAUSES_MS[attempt];
        if (wait === undefined || !refusal.retryable) {
          if (refusal.retryable) this.#refused = { error: refusal, until: performance.now() + REFUSED_MS };
          this.#refuseWaiting(refusal);
          return;
        }
        // Some libraries look for tokens only when they are started.
        this.#restart = true;
        await pause(wait * (1 + Math.random()));
      }
    }
  }

  async #open(): Promise<void> {
    this.#library ??= await joinLibrary(this.#settings, this);
    if (this.#restart || !this.#library.isStarted) {
      await this.#library.restart(this);
      this.#restart = false;
    } else if (!(await this.#unused(DRAIN_MS))) {
      throw new KmsError('ERR_KMS_UNAVAILABLE');
    }
    try {
      // Set at once: a start of the library on behalf of another link has to find it.
      this.#connection = new Connection(this.#library, this.#settings, this.#last?.token);
      this.#last = this.#connection;
    } catch (error) {
      if (failedWith(error, CKR.CRYPTOKI_NOT_INITIALIZED)) this.#library.wasStopped();
      throw error;
    }
  }

  /**
   * Until no session is in use, which has an end: a call that is under way could meet a new session under the number of
   * its old one, and sign with the key of another call. Whether that came to be.
   */
  async #unused(milliseconds: number): Promise<boolean> {
    for (const until = performance.now() + milliseconds; this.#inUse > 0; await pause(2)) {
      if (performance.now() > until) return false;
    }
    return true;
  }

  #isWanted(): boolean {
    while (this.#waiting[0]?.settled) this.#waiting.shift();
    return this.#waiting.length > 0;
  }

  #refuseWaiting(error: KmsError): void {
    const { code, retryable, context } = error;
    const cause = rawCause(error);
    for (const job of this.#waiting.splice(0)) this.#settle(job, new KmsError(code, { retryable, context, cause }));
  }

  #settle(job: Job, error: unknown, value?: unknown): void {
    if (job.settled) return;
    job.settled = true;
    this.#jobs.delete(job);
    if (job.onAbort !== undefined) job.signal?.removeEventListener('abort', job.onAbort);
    if (error === undefined) job.resolve(value as never);
    else job.reject(error);
  }

  #settleAll(code: KmsErrorCode): void {
    for (const job of this.#jobs) this.#settle(job, new KmsError(code));
    this.#waiting.length = 0;
  }

  /** One timer for all deadlines: it is set to the nearest, and mostly finds nothing to do. */
  #watch(at: number): void {
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#expire(), Math.max(0, at - performance.now()) + 1);
    this.#timer.unref();
  }

  #expire(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    let nearest = Number.POSITIVE_INFINITY;
    for (const job of this.#jobs) {
      if (job.deadline <= now) this.#settle(job, new KmsError('ERR_KMS_TIMEOUT'));
      else nearest = Math.min(nearest, job.deadline);
    }
    while (this.#waiting[0]?.settled) this.#waiting.shift();
    if (nearest !== Number.POSITIVE_INFINITY) this.#watch(nearest);
  }
}

/** What was lost, as the error says or else the session: tokens have their own codes for a login that is over. */
function lossIn(error: unknown, session: Session): Loss | undefined {
  const loss = lossOf(error);
  if ((loss !== undefined && loss !== 'handle') || isKeywrightError(error)) return loss;
  try {
    session.assertWell();
    return loss;
  } catch (lost) {
    return lost instanceof TokenLost ? lost.loss : undefined;
  }
}

function asKmsError(error: unknown): KmsError {
  const known = kmsErrorOf(error);
  return known instanceof KmsError ? known : new KmsError('ERR_KMS_BACKEND', { cause: known });
}

/** Keeps the process alive only as long as somebody waits for it. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
