import type { IncomingMessage, ServerResponse } from 'node:http';
import { bodyOf, sendJson, serve, type TestServer } from './support.ts';

/** A request that arrived, without its body. */
export interface SeenRequest {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** A server that speaks as Vault's API does, in the documented wire format. */
export interface VaultServer extends TestServer {
  readonly seen: SeenRequest[];
  /** The members of the secret at `secret/data/acme/key`; `undefined` for none. */
  secret: Record<string, unknown> | undefined;
  /** Tokens that may read. */
  readonly tokens: Set<string>;
  /** Answers instead of it. */
  override: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
}

export const TOKEN = 'hvs.canary-token';
export const JWT = 'canary.jwt.text';

// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
function kvAnswer(data: Record<string, unknown> | null, version: number): object {
  const metadata = {
    created_time: '2026-11-01T10:00:00.000000000Z',
    custom_metadata: null,
    deletion_time: data === null ? '2026-11-02T10:00:00.000000000Z' : '',
    destroyed: false,
    version,
  };
  return envelope({ data: { data, metadata } });
}

// https://developer.hashicorp.com/vault/api-docs/auth/kubernetes#login and …/auth/approle#login-with-approle
function loginAnswer(token: string, seconds: number): object {
  const auth = {
    client_token: token,
    accessor: 'accessor',
    policies: ['default'],
    lease_duration: seconds,
    renewable: true,
  };
  return envelope({ auth });
}

function envelope(members: object): object {
  return {
    request_id: 'id',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data: null,
    wrap_info: null,
    warnings: null,
    auth: null,
    ...members,
  };
}

export async function vaultServer(): Promise<VaultServer> {
  const state = { seen: [] as SeenRequest[], secret: undefined, tokens: new Set([TOKEN]), override: undefined } as Pick<
    VaultServer,
    'seen' | 'secret' | 'override'
  > & { tokens: Set<string> };
  let logins = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    state.seen.push({ method: request.method, url: request.url, headers: request.headers });
    if (state.override?.(request, response)) return;
    const url = new URL(request.url ?? '', 'http://vault');
    // https://developer.hashicorp.com/vault/docs/agent-and-proxy/agent#require-request-header
    if (request.headers['x-vault-request'] !== 'true') return sendJson(response, 412, { errors: [] });
    if (request.method === 'POST' && /^\/v1\/auth\/(kubernetes|approle|other)\/login$/.test(url.pathname)) {
      const login = JSON.parse(await bodyOf(request)) as Record<string, string>;
      const known = (login.role === 'acme' && login.jwt === JWT) || (login.role_id === 'r' && login.secret_id === 's');
      if (!known) return sendJson(response, 400, { errors: ['invalid role or secret ID'] });
      const token = `hvs.login-${++logins}`;
      state.tokens.add(token);
      return sendJson(response, 200, loginAnswer(token, 3600));
    }
    if (!state.tokens.has(String(request.headers['x-vault-token']))) {
      return sendJson(response, 403, { errors: ['permission denied'] });
    }
    if (request.method !== 'GET' || url.pathname !== '/v1/secret/data/acme/key')
      return sendJson(response, 404, { errors: [] });
    if (state.secret === undefined) return sendJson(response, 404, { errors: [] });
    const version = Number(url.searchParams.get('version') ?? 2);
    if (version !== 2) return sendJson(response, 404, kvAnswer(null, version)); // deleted
    return sendJson(response, 200, kvAnswer(state.secret, version));
  };
  const server = await serve((request, response) => void answer(request, response));
  return Object.assign(state, server);
}
