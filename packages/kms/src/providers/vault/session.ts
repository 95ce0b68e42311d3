import type { Logger } from '@keywright/envelope';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer, JsonRequest } from '../../internal/json-http.ts';
import { isToken, type VaultProof } from './auth.ts';
import { Flights } from './flights.ts';
import { type Lease, type Lifetime, later, lifetimeOf } from './lease.ts';
import { invalidResponse, refusalOf, textOf } from './refusal.ts';

/** Sends a request with a token, or with none. */
export type SendAs = (token: string | undefined, request: Omit<JsonRequest, 'headers'>) => Promise<JsonAnswer>;

const FLIGHT_MS = 10_000;
const RENEW_MS = 5_000;
const REVOKE_MS = 2_000;
/** How long no login follows one that was in vain: those that are refused lock a role, others leave a token behind. */
const PAUSE_MS = 60_000;
/** When a token that could not be asked about is asked about again. */
const LOOK_UP_MS = 5_000;
const REFUSED_LOGIN: ReadonlySet<number> = new Set([400, 401, 403, 404, 405]);
/** How long a token of a file is used before the file is read again. */
const FILE_FRESH_MS = 5_000;

/**
 * The token of a provider: got by one login however many calls wait for it, renewed when two thirds of its lease are
 * over, replaced when it can be renewed no more or is refused. Nothing of it is kept elsewhere.
 */
export class VaultSession {
  readonly #prove: () => Promise<VaultProof>;
  readonly #send: SendAs;
  readonly #logger: Logger | undefined;
  readonly #flights = new Flights<Lease>(FLIGHT_MS);
  readonly #ended = new AbortController();
  #lease: Lease | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pausedUntil = 0;
  #refusedLogin: { readonly error: KmsError; readonly until: number } | undefined;

  constructor(prove: () => Promise<VaultProof>, send: SendAs, logger: Logger | undefined) {
    this.#prove = prove;
    this.#send = send;
    this.#logger = logger;
  }

  /** The token to send. @throws KmsError `ERR_KMS_CREDENTIALS` if there is none to be had */
  async lease(signal: AbortSignal): Promise<Lease> {
    return this.#lease ?? (await this.#flights.join('lease', signal, (flight) => this.#begin(flight)));
  }

  /**
   * Whether Vault still takes the token. It answers alike to a token that is over and to one that may not: only this
   * question tells them apart.
   */
  async isAlive(lease: Lease, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#send(lease.token, { method: 'GET', path: 'auth/token/lookup-self', signal });
    if (answer.status === 200) return true;
    // 400 is OpenBao's and Vault's answer to batch tokens that are over.
    if (answer.status === 403 || (answer.status === 400 && /token/.test(textOf(answer)))) return false;
    throw refusalOf(answer);
  }

  /**
   * Lets go of a token that is refused. Whether another may be had.
   * @param isNew whether it took the place of another that was refused: one that may not ask about itself always is
   */
  forget(lease: Lease, isNew: boolean): boolean {
    if (lease.from === 'configuration') return false;
    if (isNew) this.#pausedUntil = performance.now() + PAUSE_MS;
    if (this.#lease !== lease) return true;
    if (lease.from === 'login' && performance.now() < this.#pausedUntil) return false;
    this.#drop();
    return true;
  }

  /** Revokes the token if it is of a login. */
  async close(): Promise<void> {
    const lease = this.#lease;
    this.#drop();
    this.#flights.close();
    this.#ended.abort();
    if (lease?.from !== 'login') return;
    const signal = AbortSignal.timeout(REVOKE_MS);
    await this.#send(lease.token, { method: 'POST', path: 'auth/token/revoke-self', signal }).catch(() => {
      this.#warn('A Vault token could not be revoked at close; it lives until the end of its lease.');
    });
  }

  async #begin(signal: AbortSignal): Promise<Lease> {
    const proof = await this.#prove();
    signal.throwIfAborted(); // nobody waits any more
    if (proof.from === 'login') return await this.#login(proof, signal);
    const lease: Lease = { token: proof.token, from: proof.from };
    this.#keep(lease);
    if (proof.from === 'file') this.#schedule(FILE_FRESH_MS, () => this.#lapse(lease));
    else void this.#lookUp(lease);
    return lease;
  }

  async #login({ path, body }: VaultProof & { from: 'login' }, signal: AbortSignal): Promise<Lease> {
    const refused = this.#refusedLogin;
    if (refused !== undefined && performance.now() < refused.until) throw refused.error;
    const answer = await this.#send(undefined, { method: 'POST', path, body, delivery: 'at-most-once', signal });
    if (answer.status >= 300) throw this.#refusal(answer);
    const auth = (answer.json as { auth?: { client_token?: unknown } | null } | null)?.auth;
    const lifetime = lifetimeOf(auth);
    const token = auth?.client_token;
    if (lifetime === undefined || !isToken(token)) throw invalidResponse(answer, 'auth with a client_token');
    const lease: Lease = { token, from: 'login' };
    this.#keep(lease);
    this.#plan(lease, lifetime, lifetime);
    return lease;
  }

  /** A login that is refused is 400 in Vault. */
  #refusal(answer: JsonAnswer): KmsError {
    if (!REFUSED_LOGIN.has(answer.status)) return refusalOf(answer);
    const error = refusalOf(answer, 'ERR_KMS_CREDENTIALS', 'login');
    this.#refusedLogin = { error, until: performance.now() + PAUSE_MS };
    return error;
  }

  #keep(lease: Lease): void {
    if (this.#ended.signal.aborted) throw new KmsError('ERR_KMS_CLOSED');
    this.#drop();
    this.#lease = lease;
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#lease = undefined;
  }

  /** The next call begins with another. */
  #lapse(lease: Lease): void {
    if (this.#lease === lease) this.#drop();
  }

  #schedule(ms: number, work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = later(ms, work);
  }

  /** A token from outside: whether it can be renewed has to be asked. Whatever uses it does not wait for that. */
  async #lookUp(lease: Lease): Promise<void> {
    const answer = await this.#ask(lease, 'GET', 'auth/token/lookup-self');
    if (this.#lease !== lease) return;
    if (mayPass(answer)) return this.#schedule(LOOK_UP_MS, () => void this.#lookUp(lease));
    const lifetime = lifetimeOf((answer?.json as { data?: unknown } | undefined)?.data);
    if (lifetime?.renewable) this.#plan(lease, lifetime, lifetime);
  }

  #plan(lease: Lease, lifetime: Lifetime, first: Lifetime): void {
    const { renewable, ttlMs } = lifetime;
    // 0 is a token without an end; told at a renewal, it is one that ends now.
    if (first.ttlMs === 0) return;
    // Near its longest lifetime a token is renewed for ever shorter times: a new one is better, where there is one.
    const isSpent = lease.from === 'login' && ttlMs < first.ttlMs / 2;
    if (renewable && !isSpent) {
      const endsAt = performance.now() + ttlMs;
      this.#schedule((ttlMs * 2) / 3, () => void this.#renew(lease, endsAt, first));
    } else if (lease.from === 'login') {
      this.#schedule((ttlMs * 9) / 10, () => this.#lapse(lease));
    }
  }

  async #renew(lease: Lease, endsAt: number, first: Lifetime): Promise<void> {
    const answer = await this.#ask(lease, 'POST', 'auth/token/renew-self');
    if (this.#lease !== lease) return;
    const lifetime = answer?.status === 200 ? lifetimeOf((answer.json as { auth?: unknown } | null)?.auth) : undefined;
    if (lifetime !== undefined) return this.#plan(lease, lifetime, first);
    const left = endsAt - performance.now();
    if (mayPass(answer) && left > 1_000) {
      this.#schedule(left / 2, () => void this.#renew(lease, endsAt, first));
      return;
    }
    this.#warn('A Vault token could not be renewed; the next call begins with another, if there is one.');
    this.#lapse(lease);
  }

  /** A logger that throws is not the caller's concern. */
  #warn(message: string): void {
    try {
      this.#logger?.warn(message);
    } catch {
      // there is nowhere else to say it
    }
  }

  /** A request beside the calls. `undefined` if there was no answer. */
  async #ask(lease: Lease, method: 'GET' | 'POST', path: string): Promise<JsonAnswer | undefined> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(RENEW_MS)]);
    const body = method === 'POST' ? {} : undefined;
    return await this.#send(lease.token, { method, path, body, signal }).catch(() => undefined);
  }
}

/** Whether a question without a good answer had better be asked again. */
function mayPass(answer: JsonAnswer | undefined): boolean {
  return answer === undefined || refusalOf(answer).retryable;
}
