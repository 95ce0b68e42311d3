import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { KMS } from '@aws-sdk/client-kms';
import type { AlgCapabilities, KmsKeyRef, KmsProvider } from '@keywright/kms';
import { type AwsKmsProviderOptions, awsKmsProvider } from '@keywright/kms-aws';

export const REGION = 'eu-central-1';
/** Keys of the emulators' root. */
export const ROOT: Readonly<Record<'accessKeyId' | 'secretAccessKey', string>> = Object.freeze({
  accessKeyId: 'test',
  secretAccessKey: 'test',
});

/** A provider at an address. The emulators take their time for RSA keys. */
export function providerAt(endpoint: string, over: Partial<AwsKmsProviderOptions> = {}): KmsProvider {
  return awsKmsProvider({
    id: 'aws',
    region: REGION,
    endpoint,
    ...ROOT,
    attemptTimeoutMs: 25_000,
    timeoutMs: 30_000,
    ...over,
  });
}

/** The SDK itself, which is not ours. */
export function sdkAt(endpoint: string, keys: typeof ROOT = ROOT): KMS {
  // The SDK writes into the object that it is given.
  return new KMS({ region: REGION, endpoint, credentials: { ...keys }, maxAttempts: 1 });
}

/** The public key as the SDK reads it. */
export async function publicKeyBySdk(sdk: KMS, { externalId }: Pick<KmsKeyRef, 'externalId'>): Promise<JsonWebKey> {
  const { PublicKey: der = new Uint8Array() } = await sdk.getPublicKey({ KeyId: externalId });
  return createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' }).export({ format: 'jwk' });
}

export const ALL: AlgCapabilities = Object.freeze({ create: true, import: true });

/** What a call is refused with. */
export async function refusalOf(call: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  return await call.then(
    () => {
      throw new Error('The call must be refused.');
    },
    (error: unknown) => error as Error,
  );
}
