import { generateKeyPairSync } from 'node:crypto';
import {
  type HttpProviderOptions,
  httpProvider,
  type KmsKeyRef,
  type KmsProvider,
  type PrivateJwk,
} from '@keywright/kms';
import { type RemoteKms, type RemoteKmsOptions, startRemoteKms } from '@keywright/testkit/kms';
import { onTestFinished } from 'vitest';

/** A reference to a key that nobody has to have. */
export function refOf(provider: KmsProvider, over: Partial<KmsKeyRef> = {}): KmsKeyRef {
  const externalId = 'c0ffee'.padEnd(32, '0');
  const ref: KmsKeyRef = {
    tenantId: 'acme',
    keyId: 'k1',
    providerId: provider.id,
    externalId,
    externalVersion: null,
    alg: 'ES256',
  };
  return { ...ref, ...over };
}

/**
 * A service and a provider of its keys, for one test.
 * @param atEnd of the test, where several run at once
 */
export async function openRemote(
  server: RemoteKmsOptions = {},
  client: Partial<HttpProviderOptions> = {},
  atEnd: (work: () => Promise<void>) => void = onTestFinished,
): Promise<{ readonly service: RemoteKms; readonly provider: KmsProvider }> {
  const service = await startRemoteKms(server);
  atEnd(service.stop);
  const provider = httpProvider({ id: 'remote', baseUrl: service.url, retries: 0, ...client });
  atEnd(() => provider.close());
  return { service, provider };
}

/** A service that gives one answer to everything. */
export function openAnswering(
  status: number,
  body: unknown,
  client: Partial<HttpProviderOptions> = {},
): ReturnType<typeof openRemote> {
  const headers = { 'content-type': 'application/json' };
  return openRemote({ intercept: () => ({ status, headers, body: JSON.stringify(body) }) }, client);
}

/** A new private key for ES256. */
export function samplePrivateJwk(): PrivateJwk {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as PrivateJwk;
}
