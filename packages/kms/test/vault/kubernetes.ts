import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** As much of a Kubernetes cluster as a Vault asks: who a service account's token belongs to. */
export async function startTokenReview(): Promise<{ url: string; jwt: string; stop(): Promise<void> }> {
  const jwt = serviceAccountToken();
  const server = createServer((request, response) => {
    request.resume();
    const user = {
      username: 'system:serviceaccount:default:signing',
      uid: 'u1',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    };
    const review = {
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1',
      status: { authenticated: true, user, audiences: ['https://kubernetes.default.svc'] },
    };
    response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(review));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, jwt, stop };
}

function serviceAccountToken(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  const text = `${part({ alg: 'ES256', typ: 'JWT' })}.${part({
    iss: 'https://kubernetes.default.svc',
    sub: 'system:serviceaccount:default:signing',
    aud: ['https://kubernetes.default.svc'],
    nbf: now - 60,
    iat: now - 60,
    exp: now + 600,
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'signing', uid: 'u1' } },
  })}`;
  const signature = sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}
