import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KmsKeyRef, KmsProvider } from '@keywright/kms';
import type { AwsKmsProviderOptions } from '@keywright/kms-aws';
import { onTestFinished } from 'vitest';
import { providerAt, REGION } from './support.ts';

/** One request of the SDK. */
export interface Asked {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly headers: IncomingHttpHeaders;
  /** Its body, as it came. */
  readonly text: string;
}

export interface Answering {
  readonly url: string;
  readonly asked: readonly Asked[];
  close(): Promise<void>;
}

/** A server that answers as it is told: for what emulators never do. */
async function answering(answer: (asked: Asked, response: ServerResponse) => void): Promise<Answering> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const operation = String(request.headers['x-amz-target']).replace(/^.*\./, '');
      const one = { operation, input: JSON.parse(text || '{}') as Asked['input'], headers: request.headers, text };
      asked.push(one);
      answer(one, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A refusal, as AWS KMS writes it. */
export function refuse(response: ServerResponse, type: string, message = 'Text of AWS.', status = 400): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(JSON.stringify({ __type: type, message }));
}

export function succeed(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
  response.end(JSON.stringify(body));
}

export const ARN: string = `arn:aws:kms:${REGION}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
/** A key that is there. */
export const KEY: KmsKeyRef = Object.freeze({
  tenantId: 'acme',
  keyId: 'k1',
  providerId: 'aws',
  externalId: ARN,
  externalVersion: null,
  alg: 'ES256',
});
// r = s = 1
export const DER: string = Buffer.from('3006020101020101', 'hex').toString('base64');
export const SIGNED: object = { KeyId: ARN, Signature: DER, SigningAlgorithm: 'ECDSA_SHA_256' };

/** What GetPublicKey answers with. */
export const PUBLIC: object = {
  KeyId: ARN,
  KeyUsage: 'SIGN_VERIFY',
  KeySpec: 'ECC_NIST_P256',
  PublicKey:
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAElQ54bI7Thuv3f4/O+eMzpHWw1fZwZze6IVWYXKT0MQKj7Nr0ID7vJoDSE1LQrJ84Acs44wiovetSN71etN1VzA==',
};

/** A provider at a server that answers as it is told; both end with the test. */
export async function open(
  answer: (asked: Asked, response: ServerResponse) => void,
  over: Partial<AwsKmsProviderOptions> = {},
): Promise<{ server: Answering; provider: KmsProvider }> {
  const server = await answering(answer);
  onTestFinished(server.close);
  const provider = providerAt(server.url, { timeoutMs: 3_000, attemptTimeoutMs: 1_000, ...over });
  onTestFinished(() => provider.close());
  return { server, provider };
}
