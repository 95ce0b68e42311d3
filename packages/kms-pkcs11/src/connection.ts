import { availableParallelism } from 'node:os';
import { KmsError } from '@keywright/kms';
import { CKF, CKR } from './constants.ts';
import type { Cryptoki, Handle } from './cryptoki.ts';
import { failedWith } from './failures.ts';
import { HandleCache } from './handle-cache.ts';
import type { Library } from './library.ts';
import { login } from './login.ts';
import { type Mechanisms, readMechanisms, type Signings, signingsOf } from './mechanisms.ts';
import { type Quirks, quirksOf } from './quirks.ts';
import { Session } from './session.ts';
import { chooseToken, type Token, type TokenChoice } from './token.ts';

/** Two at least: one call may be stuck. */
const PROCESSORS = Math.max(2, availableParallelism());

export interface ConnectionSettings {
  readonly choice: TokenChoice;
  readonly pin: string;
  readonly readOnly: boolean;
  readonly sessions: number;
}

/** Sessions on a token, logged in, until the token is lost. Handles of objects are good for one connection only. */
export class Connection {
  readonly library: Library;
  readonly cryptoki: Cryptoki;
  readonly token: Token;
  readonly mechanisms: Mechanisms;
  readonly signings: Signings;
  readonly quirks: Quirks;
  readonly handles: HandleCache = new HandleCache();
  readonly #flags: number;
  readonly #generation: number;
  readonly #free: Session[] = [];
  #most: number;
  #opened = 0;
  #lost = false;

  /** Connects. All of it is synchronous in the binding, so it blocks the event loop for as long as the token takes. */
  constructor(library: Library, settings: ConnectionSettings, before: Token | undefined) {
    this.library = library;
    this.cryptoki = library.cryptoki;
    this.#generation = library.generation;
    this.#flags = CKF.SERIAL_SESSION | (settings.readOnly ? 0 : CKF.RW_SESSION);
    this.token = chooseToken(this.cryptoki, settings.choice, before);
    this.quirks = quirksOf(this.token);
    this.#most = this.quirks.computesHere ? Math.min(settings.sessions, PROCESSORS) : settings.sessions;
    const first = this.#open();
    try {
      login(this.cryptoki, first.handle, this.token, library.path, settings.pin);
      this.mechanisms = readMechanisms(this.cryptoki, this.token.slot);
      this.signings = signingsOf(this.mechanisms);
    } catch (error) {
      this.#close(first);
      throw error;
    }
    this.#free.push(first);
  }

  get needsLogin(): boolean {
    return (this.token.flags & CKF.LOGIN_REQUIRED) !== 0;
  }

  get opened(): number {
    return this.#opened;
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** Whether the token is still in its slot: an idle connection has not noticed its loss yet. */
  answers(): boolean {
    try {
      this.cryptoki.C_GetTokenInfo(this.token.slot);
      return true;
    } catch {
      return false;
    }
  }

  /** A session that nobody uses; `undefined` while all are in use. */
  take(): Session | undefined {
    const free = this.#free.pop();
    if (free !== undefined || this.#opened >= this.#most) return free;
    try {
      return this.#open();
    } catch (error) {
      if (!failedWith(error, CKR.SESSION_COUNT)) throw error;
      // The token has no more for us: what is open has to do.
      if (this.#opened === 0) throw new KmsError('ERR_KMS_THROTTLED', { cause: error });
      this.#most = this.#opened;
      return undefined;
    }
  }

  giveBack(session: Session): void {
    if (this.#lost) this.#close(session);
    else this.#free.push(session);
  }

  /** Closes a session that is in a state of its own. */
  discard(session: Session): void {
    this.#close(session);
  }

  /** Closes what is not in use; what is in use is closed when it is given back. */
  drop(): void {
    this.#lost = true;
    this.handles.clear();
    for (const session of this.#free.splice(0)) this.#close(session);
  }

  #open(): Session {
    const handle: Handle = this.cryptoki.C_OpenSession(this.token.slot, this.#flags);
    this.#opened++;
    return new Session(this, handle);
  }

  #close(session: Session): void {
    this.#opened--;
    // The number is that of another session by now.
    if (this.library.generation !== this.#generation) return;
    try {
      this.cryptoki.C_CloseSession(session.handle);
    } catch {
      // It is closed already, or its token is gone; nothing else can be wrong with closing.
    }
  }
}
