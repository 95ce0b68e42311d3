import {
  type AuthorizationServer,
  allowInsecureRequests,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  clientCredentialsGrantRequest,
  customFetch,
  processClientCredentialsResponse,
  ResponseBodyError,
  type TokenEndpointResponse,
} from 'oauth4webapi';
import type { DriverCall } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import { JsonHttp, type TlsOptions } from '../../internal/json-http.ts';
import type { Authorization } from './authorization.ts';
import type { ClientCredentialsSettings } from './options.ts';
import { refusalOf } from './refusal.ts';

interface Token {
  readonly header: string;
  /** When it is renewed, as `performance.now()` counts. */
  readonly staleAt: number;
}

const FLIGHT_MS = 10_000;
/** After this long another request is made beside the one that waits: its connection may be dead. Below a call's attempt. */
const PATIENCE_MS = 3_000;
/** A token whose lifetime is not told. If it is over before, 401 renews it. */
const UNTOLD_LIFETIME_MS = 60_000;
const LONGEST_LIFETIME_MS = 24 * 60 * 60_000;
/** Renewed this long before its end, or after nine tenths of a lifetime that is short. */
const MARGIN_MS = 30_000;
const TOKEN = /^[A-Za-z0-9._~+/-]{1,8192}=*$/;

/**
 * Bearer tokens by the client credentials grant. One is used until it nears its end; however many calls need another,
 * it is asked for once. A refusal is not remembered.
 */
export class ClientCredentialsAuthorization implements Authorization {
  readonly #settings: ClientCredentialsSettings;
  readonly #http: JsonHttp;
  readonly #ended = new AbortController();
  #token: Token | undefined;
  #flight: { readonly token: Promise<Token>; readonly lateAt: number } | undefined;

  constructor(settings: ClientCredentialsSettings, tls: TlsOptions) {
    this.#settings = settings;
    this.#http = new JsonHttp(new URL(settings.tokenUrl.origin), tls);
  }

  async current({ signal }: DriverCall): Promise<string> {
    const token = this.#token;
    if (token !== undefined && performance.now() < token.staleAt) return token.header;
    return (await unlessAborted(this.#join(), signal)).header;
  }

  #join(): Promise<Token> {
    const now = performance.now();
    if (this.#flight !== undefined && now < this.#flight.lateAt) return this.#flight.token;
    const token = this.#fetch().finally(() => {
      if (this.#flight === flight) this.#flight = undefined;
    });
    const flight = { token, lateAt: now + PATIENCE_MS };
    this.#flight = flight;
    return token;
  }

  renew(refused: string | undefined): boolean {
    if (this.#token?.header === refused) this.#token = undefined;
    return true;
  }

  close(): void {
    this.#ended.abort();
    this.#token = undefined;
    this.#http.close();
  }

  /** Ends by itself: callers who leave don't end it for those who wait. */
  async #fetch(): Promise<Token> {
    const asked = performance.now();
    const answer = await this.#grant(AbortSignal.any([this.#ended.signal, AbortSignal.timeout(FLIGHT_MS)]));
    if (answer.token_type !== 'bearer' || !TOKEN.test(answer.access_token)) throw notAToken();
    const told = answer.expires_in === undefined ? UNTOLD_LIFETIME_MS : answer.expires_in * 1_000;
    const lifetime = Math.min(told, LONGEST_LIFETIME_MS);
    const token = {
      header: `Bearer ${answer.access_token}`,
      staleAt: asked + lifetime - Math.min(MARGIN_MS, lifetime / 10),
    };
    if (!this.#ended.signal.aborted) this.#token = token;
    return token;
  }

  async #grant(signal: AbortSignal): Promise<TokenEndpointResponse> {
    const { tokenUrl, clientId, clientSecret, clientAuth, parameters } = this.#settings;
    const server: AuthorizationServer = { issuer: tokenUrl.origin, token_endpoint: tokenUrl.href };
    const client: Client = { client_id: clientId };
    const authenticate: ClientAuth =
      clientAuth === 'client_secret_post' ? ClientSecretPost(clientSecret) : ClientSecretBasic(clientSecret);
    try {
      const response = await clientCredentialsGrantRequest(
        server,
        client,
        authenticate,
        { ...parameters },
        {
          // Where it may be http was decided when the options were checked.
          [allowInsecureRequests]: true,
          [customFetch]: async (_url, { headers, body }) => this.#post(headers, body, signal),
        },
      );
      return await processClientCredentialsResponse(server, client, response);
    } catch (error) {
      throw typed(error);
    }
  }

  /** By our own client: with the provider's certificates, a bounded answer and no redirect. */
  async #post(headers: Record<string, string>, body: unknown, signal: AbortSignal): Promise<Response> {
    const path = this.#settings.tokenUrl.pathname.slice(1);
    const { authorization } = headers;
    const answer = await this.#http.send({
      method: 'POST',
      path,
      body,
      signal,
      ...(authorization === undefined ? {} : { headers: { authorization } }),
    });
    const { status, json } = answer;
    if (status === 401 || status === 403 || status === 429 || status >= 500) {
      throw refusalOf(answer, { 403: 'ERR_KMS_CREDENTIALS' });
    }
    if (json === undefined) throw notAToken(status);
    return Response.json(json, { status });
  }
}

const DENIED = new Set(['invalid_scope', 'invalid_target', 'access_denied']);

function typed(error: unknown): KmsError {
  if (error instanceof KmsError) return error;
  // Other errors of the library hold the answer, which may hold a token.
  if (!(error instanceof ResponseBodyError)) return notAToken();
  const { status } = error;
  const code = DENIED.has(error.error) ? 'ERR_KMS_DENIED' : 'ERR_KMS_CREDENTIALS';
  return new KmsError(code, { context: { status }, cause: { name: 'HttpAnswer', status } });
}

function notAToken(status?: number): KmsError {
  return new KmsError('ERR_KMS_INVALID_RESPONSE', {
    context: { expected: 'a bearer token of the token endpoint', ...(status === undefined ? {} : { status }) },
  });
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}
