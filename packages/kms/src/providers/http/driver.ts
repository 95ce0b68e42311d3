import type { JsonWebKey } from 'node:crypto';
import QuickLRU from 'quick-lru';
import { invalidArgument, kindOf } from '../../arguments.ts';
import type { AlgCapabilities, KmsCapabilities } from '../../capabilities.ts';
import type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from '../../driver.ts';
import type { KmsErrorCode } from '../../errors.ts';
import { type JsonAnswer, JsonHttp, type JsonRequest } from '../../internal/json-http.ts';
import { type PrivateJwk, type PublicJwk, publicJwkOf } from '../../jwk.ts';
import type { BackendKeyPage, KmsKey, KmsKeyRef } from '../../provider.ts';
import { verifySignature } from '../../verify.ts';
import { expectOk, invalidResponse, pageIn, publicJwkIn, signatureIn } from './answers.ts';
import { type Authorization, staticAuthorization } from './authorization.ts';
import { ClientCredentialsAuthorization } from './client-credentials.ts';
import type { HttpSettings } from './options.ts';
import { refusalOf, saysNoSuchKey } from './refusal.ts';

type Question = Omit<JsonRequest, 'signal' | 'headers'>;

const NAME = /^[0-9a-f]{32}$/;
const KNOWN_KEYS = 10_000;

const CREATE: Readonly<Record<number, KmsErrorCode>> = { 404: 'ERR_KMS_INVALID_RESPONSE', 409: 'ERR_KMS_KEY_EXISTS' };
const IMPORT: Readonly<Record<number, KmsErrorCode>> = { 404: 'ERR_KMS_UNSUPPORTED', 409: 'ERR_KMS_KEY_EXISTS' };
const OPTIONAL: Readonly<Record<number, KmsErrorCode>> = { 404: 'ERR_KMS_UNSUPPORTED' };
const WRONG_PLACE: Readonly<Record<number, KmsErrorCode>> = { 404: 'ERR_KMS_INVALID_RESPONSE' };

/** Keys of a service that speaks the contract in the README. A key is named there by its random name and nothing else. */
export class HttpDriver implements KmsDriver {
  readonly type = 'http';
  readonly reach = 'remote';
  readonly capabilities: KmsCapabilities;
  readonly #http: JsonHttp;
  readonly #authorization: Authorization;
  readonly #keys: string;
  readonly #health: string;
  readonly #verifies: boolean;
  readonly #known = new QuickLRU<string, PublicJwk>({ maxSize: KNOWN_KEYS });

  constructor(settings: HttpSettings) {
    const { baseUrl, tls, oauth, apiKey, algs, canImport, canList } = settings;
    const capability: AlgCapabilities = Object.freeze({ create: true, import: canImport });
    this.capabilities = Object.freeze({
      algs: Object.freeze(Object.fromEntries(algs.map((alg) => [alg, capability]))),
      defaultAlg: algs[0] ?? 'ES256',
      deleteKey: 'immediate',
      listKeys: canList,
      exportKey: false,
      wrapKey: false,
    });
    this.#http = new JsonHttp(baseUrl, tls);
    this.#authorization =
      oauth === undefined ? staticAuthorization(apiKey) : new ClientCredentialsAuthorization(oauth, tls);
    this.#keys = settings.keysPath.slice(1);
    this.#health = settings.healthPath.slice(1);
    this.#verifies = settings.verifySignatures;
  }

  async createKey({ name, alg }: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    const body = { kid: name, alg };
    const answer = await this.#ask({ method: 'POST', path: this.#keys, body, delivery: 'at-most-once' }, call);
    return this.#made(name, expectSuccess(answer, CREATE));
  }

  async importKey(
    { name, alg, privateJwk }: DriverCreateKey & { readonly privateJwk: PrivateJwk },
    call: DriverCall,
  ): Promise<DriverKey> {
    const body = { privateJwk, alg };
    const path = `${this.#keys}/${name}/import`;
    const answer = await this.#ask({ method: 'POST', path, body, delivery: 'at-most-once' }, call);
    return this.#made(name, expectSuccess(answer, IMPORT));
  }

  async getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    const answer = await this.#ask({ method: 'GET', path: this.#pathOf(key) }, call);
    if (saysNoSuchKey(answer)) throw refusalOf(answer);
    return publicJwkIn(expectSuccess(answer, OPTIONAL));
  }

  async sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const { buffer, byteOffset, byteLength } = data;
    const body = { data: Buffer.from(buffer, byteOffset, byteLength).toString('base64'), alg: key.alg };
    const answer = expectSuccess(await this.#ask({ method: 'POST', path: `${this.#pathOf(key)}/sign`, body }, call));
    const signature = signatureIn(answer);
    if (this.#verifies && !verifySignature(key.alg, await this.#publicKey(key, call), data, signature)) {
      throw invalidResponse(answer, 'a signature of the data by this key');
    }
    return signature;
  }

  async deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void> {
    const answer = await this.#ask({ method: 'DELETE', path: this.#pathOf(key) }, call);
    this.#known.delete(key.externalId);
    if (answer.status === 204 || saysNoSuchKey(answer)) return;
    throw answer.status < 300 ? invalidResponse(answer, '204') : refusalOf(answer, WRONG_PLACE);
  }

  async listKeys(
    { cursor, limit }: { readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage> {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor === undefined ? {} : { after: cursor }) });
    const answer = await this.#ask({ method: 'GET', path: this.#keys, query: query.toString() }, call);
    return pageIn(expectSuccess(answer, OPTIONAL), cursor);
  }

  async probe(call: DriverCall): Promise<void> {
    expectOk(expectSuccess(await this.#ask({ method: 'GET', path: this.#health }, call), WRONG_PLACE));
  }

  async close(): Promise<void> {
    this.#authorization.close();
    this.#http.close();
    this.#known.clear();
  }

  /** Asks with what is shown now, and once more with something newer where that is refused. */
  async #ask(question: Question, call: DriverCall): Promise<JsonAnswer> {
    const shown = await this.#authorization.current(call);
    const answer = await this.#send(question, shown, call);
    if (answer.status !== 401 || !this.#authorization.renew(shown)) return answer;
    return this.#send(question, await this.#authorization.current(call), call);
  }

  #send(question: Question, authorization: string | undefined, { signal }: DriverCall): Promise<JsonAnswer> {
    return this.#http.send({
      ...question,
      signal,
      ...(authorization === undefined ? {} : { headers: { authorization } }),
    });
  }

  #made(name: string, answer: JsonAnswer): DriverKey {
    return { externalId: name, externalVersion: null, publicKey: publicJwkIn(answer) };
  }

  /** The key as the caller recorded it when it was made, else as the service has it. */
  async #publicKey(key: KmsKeyRef, call: DriverCall): Promise<PublicJwk> {
    const { publicJwk } = key as Partial<KmsKey>;
    const known = publicJwk ?? this.#known.get(key.externalId);
    if (known !== undefined) return known;
    const read = publicJwkOf(key.alg, await this.getPublicKey(key, call));
    this.#known.set(key.externalId, read);
    return read;
  }

  /** What is in a reference becomes a path only if it is a name of our making. */
  #pathOf({ externalId }: KmsKeyRef): string {
    if (NAME.test(externalId)) return `${this.#keys}/${externalId}`;
    throw invalidArgument('key.externalId', '32 lower-case hexadecimal digits', kindOf(externalId));
  }
}

function expectSuccess(answer: JsonAnswer, special?: Readonly<Record<number, KmsErrorCode>>): JsonAnswer {
  if (answer.status >= 200 && answer.status < 300) return answer;
  throw refusalOf(answer, special);
}
