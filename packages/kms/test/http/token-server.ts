import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { RemoteKmsAuth } from '@keywright/testkit/kms';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider, type Token } from 'oidc-provider';

export interface TokenServer {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** How the service finds out whether a token is good. */
  readonly auth: RemoteKmsAuth;
  /** Tokens that were given out. */
  readonly tokens: readonly string[];
  /** The `Authorization` header of each request to the token endpoint. */
  readonly requests: readonly (string | undefined)[];
  /** Makes all tokens invalid that were given out. */
  revokeAll(): Promise<void>;
  stop(): Promise<void>;
}

export interface TokenServerOptions {
  /** Lifetime of tokens in seconds. @default 600 */
  readonly lifetime?: number;
  readonly clientAuth?: 'client_secret_basic' | 'client_secret_post';
}

const INTROSPECTOR = { id: 'kms-service', secret: 'secret-of-the-service' };

/** Where the provider keeps its tokens; the one of its own warns that it is in memory. */
class MemoryAdapter {
  static readonly #rows = new Map<string, object>();
  readonly #kind: string;

  constructor(kind: string) {
    this.#kind = kind;
  }

  async upsert(id: string, row: object): Promise<void> {
    MemoryAdapter.#rows.set(`${this.#kind}:${id}`, row);
  }

  async find(id: string): Promise<object | undefined> {
    return MemoryAdapter.#rows.get(`${this.#kind}:${id}`);
  }

  async destroy(id: string): Promise<void> {
    MemoryAdapter.#rows.delete(`${this.#kind}:${id}`);
  }
}

/** An OpenID provider (oidc-provider) with a client for the provider and one for the service that asks about tokens. */
export async function startTokenServer(options: TokenServerOptions = {}): Promise<TokenServer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clientSecret = `client-secret-${randomBytes(16).toString('hex')}`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const client = {
    redirect_uris: [],
    response_types: [],
    grant_types: ['client_credentials'],
    scope: 'kms',
    id_token_signed_response_alg: 'ES256',
  };
  const provider = new Provider(issuer, {
    jwks: { keys: [await exportJWK(privateKey)] },
    cookies: { keys: [clientSecret] },
    scopes: ['kms', 'admin'],
    adapter: MemoryAdapter,
    ttl: { ClientCredentials: options.lifetime ?? 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
    },
    clients: [
      {
        ...client,
        client_id: 'keywright',
        client_secret: clientSecret,
        token_endpoint_auth_method: options.clientAuth ?? 'client_secret_basic',
      },
      { ...client, client_id: INTROSPECTOR.id, client_secret: INTROSPECTOR.secret },
    ],
  });
  const saved: Token[] = [];
  provider.on('client_credentials.saved', (token) => saved.push(token));
  const callback = provider.callback();
  const requests: (string | undefined)[] = [];
  server.on('request', (request, response) => {
    if (request.url === '/token') requests.push(request.headers.authorization);
    void callback(request, response);
  });
  return {
    tokenUrl: `${issuer}/token`,
    clientId: 'keywright',
    clientSecret,
    auth: {
      kind: 'client-credentials',
      introspectionUrl: `${issuer}/token/introspection`,
      clientId: INTROSPECTOR.id,
      clientSecret: INTROSPECTOR.secret,
    },
    get tokens() {
      return saved.map(({ jti }) => jti);
    },
    requests,
    revokeAll: async () => {
      for (const token of saved) await token.destroy();
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
