import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KmsKeyRef, KmsProvider, VaultProviderOptions } from '@keywright/kms';
import { vaultProvider } from '@keywright/kms';
import { onTestFinished } from 'vitest';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
}

/** What is answered: JSON unless it is text. `'hang'` is no answer. */
export type Answer =
  | 'hang'
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };

/** A server that is no Vault, or one of a version and in a state that none could be recorded in, for one test. */
export async function openAnswering(
  answer: (asked: Asked) => Answer | undefined,
  over: Partial<VaultProviderOptions> = {},
): Promise<{ readonly provider: KmsProvider; readonly requests: readonly string[] }> {
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const [method = '', path = ''] = [request.method, request.url];
    requests.push(`${method} ${path}`);
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const given = answer({ method, path, headers: request.headers, body }) ?? ordinary(path);
    if (given === 'hang') return;
    const type = typeof given.body === 'string' ? 'text/html' : 'application/json';
    response.writeHead(given.status, {
      ...(given.body === undefined ? {} : { 'content-type': type }),
      ...given.headers,
    });
    response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const vaultUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const provider = vaultProvider({ id: 'vault', vaultUrl, vaultToken: TOKEN, retries: 0, ...over });
  onTestFinished(async () => {
    await provider.close();
    server.closeAllConnections();
    server.close();
  });
  return { provider, requests };
}

export const TOKEN = 'hvs.the-token-that-nobody-may-see';

/** A key that nobody has to have. */
export const REF: KmsKeyRef = Object.freeze({
  tenantId: 'acme',
  keyId: 'k1',
  providerId: 'vault',
  externalId: 'c0ffee'.padEnd(32, '0'),
  externalVersion: '1',
  alg: 'ES256',
});

export const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwJ4AEQSIk8lDIeekBZZqrVLg4ZIU
QBrynJFzSvowEqVQHVQCjili2lSRLH5pg9q+cAgsI3nyG3hudQXXHzXDVQ==
-----END PUBLIC KEY-----
`;

/** A key of Transit as it is read. */
export function keyData(over: Readonly<Record<string, unknown>> = {}): Answer {
  const data = {
    type: 'ecdsa-p256',
    derived: false,
    exportable: false,
    allow_plaintext_backup: false,
    latest_version: 1,
    keys: { 1: { public_key: PUBLIC_KEY } },
    ...over,
  };
  return { status: 200, body: { data } };
}

function ordinary(path: string): Answer {
  if (path.startsWith('/v1/auth/token/lookup-self')) {
    return { status: 200, body: { data: { renewable: false, ttl: 0 } } };
  }
  return { status: 404, body: { errors: [] } };
}
