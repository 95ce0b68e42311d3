import type { Logger } from '@keywright/envelope';
import type { DriverCall } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import { type JsonAnswer, JsonHttp, type JsonRequest } from '../../internal/json-http.ts';
import type { VaultSettings } from './options.ts';
import { invalidResponse, refusalOf, textOf } from './refusal.ts';
import { VaultSession } from './session.ts';

/** A question to Vault: a path below `/v1/`. */
export type Question = Omit<JsonRequest, 'signal' | 'headers'>;

/** Members of `data` in an answer. */
export type Data = Readonly<Record<string, unknown>>;

/** Asks one Vault, with a token that is taken care of. */
export class VaultClient {
  readonly #http: JsonHttp;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #session: VaultSession;

  constructor({ vaultUrl, tls, namespace, prove }: VaultSettings, logger: Logger | undefined) {
    this.#http = new JsonHttp(vaultUrl, tls);
    // The first keeps a forged request of a browser or of a proxy out, where Vault is told to ask for it.
    this.#headers = {
      'x-vault-request': 'true',
      ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace }),
    };
    this.#session = new VaultSession(prove, (token, request) => this.#send(token, request), logger);
  }

  /**
   * The answer, whatever its status but 403: a token that is over is replaced, once.
   * @throws KmsError `ERR_KMS_DENIED`, `ERR_KMS_CREDENTIALS`
   */
  async ask(question: Question, { signal }: DriverCall): Promise<JsonAnswer> {
    for (let isAgain = false; ; isAgain = true) {
      const lease = await this.#session.lease(signal);
      const answer = await this.#send(lease.token, { ...question, signal });
      if (answer.status !== 403) return answer;
      if (await this.#session.isAlive(lease, signal)) throw refusalOf(answer);
      if (!this.#session.forget(lease, isAgain) || isAgain) throw refusalOf(answer, 'ERR_KMS_CREDENTIALS');
    }
  }

  /** Rejects unless Vault is unsealed and active and takes the token. */
  async probe(call: DriverCall): Promise<void> {
    const { signal } = call;
    // Without the namespace: Vault Enterprise has this in the root namespace alone.
    const health = await this.#http.send({ method: 'GET', path: 'v1/sys/health', signal });
    const { initialized, sealed } = Object(health.json) as { initialized?: unknown; sealed?: unknown };
    if (health.status !== 200) {
      // 429 is a standby here, 501 a Vault without keys; only of a Vault, which says so in JSON.
      const isVault = typeof sealed === 'boolean' || textOf(health) !== '' || health.status >= 500;
      const code = isVault ? 'ERR_KMS_UNAVAILABLE' : 'ERR_KMS_INVALID_RESPONSE';
      throw new KmsError(code, { context: { status: health.status, expected: 'an active, unsealed Vault' } });
    }
    if (initialized !== true || sealed !== false) throw invalidResponse(health, 'the health of a Vault');
    const self = await this.ask({ method: 'GET', path: 'auth/token/lookup-self' }, call);
    if (self.status !== 200) throw refusalOf(self);
    dataOf(self);
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#http.close();
  }

  #send(token: string | undefined, request: Omit<JsonRequest, 'headers'>): Promise<JsonAnswer> {
    const headers = { ...this.#headers, ...(token === undefined ? {} : { 'x-vault-token': token }) };
    return this.#http.send({ ...request, path: `v1/${request.path}`, headers });
  }
}

/** `data` of a success. @throws KmsError */
export function dataOf(answer: JsonAnswer): Data {
  if (answer.status !== 200) throw answer.status < 300 ? invalidResponse(answer, 'data') : refusalOf(answer);
  const { data } = Object(answer.json) as { data?: unknown };
  if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data as Data;
  throw invalidResponse(answer, 'data');
}

/** What Vault remarks on a success. */
export function warningsOf({ json }: JsonAnswer): readonly string[] {
  const { warnings } = Object(json) as { warnings?: unknown };
  return Array.isArray(warnings) ? warnings.filter((warning) => typeof warning === 'string') : [];
}
