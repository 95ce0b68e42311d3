import { generateKeyPairSync } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type KeywrightError, rawCause } from '@keywright/envelope';
import { KmsError, type PrivateJwk, SIGN_ALGS } from '@keywright/kms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ARN, type Asked, open, PUBLIC, refuse, succeed } from './answering.ts';
import { providerAt, refusalOf, sdkAt } from './support.ts';

const INPUT = { tenantId: 'acme', keyId: 'k1' } as const;

/** Makes keys and schedules their deletion; what else is asked, `others` answers. */
const making =
  (others: (asked: Asked, response: ServerResponse) => void) =>
  (asked: Asked, response: ServerResponse): void => {
    if (asked.operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
    else if (asked.operation === 'ScheduleKeyDeletion') succeed(response, { KeyId: ARN });
    else others(asked, response);
  };

describe('making a key', () => {
  it('that cannot be finished schedules its deletion, and never makes two', async () => {
    const { server, provider } = await open(({ operation }, response) => {
      if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
      else if (operation === 'ScheduleKeyDeletion') succeed(response, { KeyId: ARN });
      else refuse(response, 'AccessDeniedException');
    });
    const error = await refusalOf(provider.createKey({ tenantId: 'acme', keyId: 'k1' }));
    expect(error).toMatchObject({ code: 'ERR_KMS_DENIED' });
    expect(server.asked.map(({ operation }) => operation)).toEqual([
      'CreateKey',
      'GetPublicKey',
      'ScheduleKeyDeletion',
    ]);
    expect(server.asked.at(-1)?.input).toEqual({ KeyId: ARN, PendingWindowInDays: 7 });
  });

  it('waits until AWS KMS finds what it made, and in the state that it made it in', async () => {
    const { server, provider } = await open(({ operation }, response) => {
      if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
      else if (server.asked.length === 2) refuse(response, 'NotFoundException');
      else if (server.asked.length === 3) refuse(response, 'KMSInvalidStateException');
      else succeed(response, PUBLIC);
    });
    await expect(provider.createKey({ tenantId: 'acme', keyId: 'k1' })).resolves.toMatchObject({ externalId: ARN });
    expect(server.asked.map(({ operation }) => operation)).toEqual([
      'CreateKey',
      'GetPublicKey',
      'GetPublicKey',
      'GetPublicKey',
    ]);
  });

  it('is not repeated where it was throttled behind the making and could not be undone', async () => {
    const { server, provider } = await open(({ operation }, response) => {
      if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
      else refuse(response, 'ThrottlingException');
    });
    const refused = provider.createKey({ tenantId: 'acme', keyId: 'k1' }, { timeoutMs: 600 });
    expect(await refusalOf(refused)).toBeInstanceOf(KmsError);
    expect(server.asked.filter(({ operation }) => operation === 'CreateKey')).toHaveLength(1);
  });

  it('is repeated where AWS KMS throttled it, for then nothing was made', async () => {
    const { server, provider } = await open(({ operation }, response) => {
      if (server.asked.length === 1) refuse(response, 'ThrottlingException');
      else if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
      else succeed(response, PUBLIC);
    });
    await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    expect(server.asked.map(({ operation }) => operation)).toEqual(['CreateKey', 'CreateKey', 'GetPublicKey']);
  });

  it.each([
    ['ES256', 'ECC_NIST_P256'],
    ['ES384', 'ECC_NIST_P384'],
    ['ES512', 'ECC_NIST_P521'],
    ['EdDSA', 'ECC_NIST_EDWARDS25519'],
    ['RS256', 'RSA_3072'],
    ['RS384', 'RSA_3072'],
    ['RS512', 'RSA_3072'],
    ['PS256', 'RSA_3072'],
    ['PS384', 'RSA_3072'],
    ['PS512', 'RSA_3072'],
  ] as const)('for %s asks for %s', async (alg, KeySpec) => {
    const { server, provider } = await open(making((_asked, response) => refuse(response, 'AccessDeniedException')));
    await refusalOf(provider.createKey({ ...INPUT, alg }));
    expect(server.asked[0]?.input).toMatchObject({ KeySpec, KeyUsage: 'SIGN_VERIFY', Origin: 'AWS_KMS' });
  });

  it('is done where the answer to its naming was lost', async () => {
    const named = new Set<unknown>();
    const { server, provider } = await open(
      making(({ operation, input }, response) => {
        if (operation !== 'CreateAlias') succeed(response, PUBLIC);
        else if (named.has(input.AliasName)) refuse(response, 'AlreadyExistsException');
        else response.destroy(named.add(input.AliasName) && undefined);
      }),
      { aliasPrefix: 'k/' },
    );
    await expect(provider.createKey(INPUT)).resolves.toMatchObject({ externalId: ARN });
    const asked = server.asked.map(({ operation }) => operation);
    expect(asked).toEqual(['CreateKey', 'CreateAlias', 'CreateAlias', 'GetPublicKey']);
  });

  it('that is undone takes its name away too: it may be made again by that name', async () => {
    const { server, provider } = await open(
      making(({ operation, input }, response) => {
        const Aliases = server.asked.filter((one) => one.operation === 'CreateAlias').map((one) => one.input);
        if (operation === 'GetPublicKey') refuse(response, 'AccessDeniedException');
        else succeed(response, operation === 'ListAliases' ? { Aliases } : input);
      }),
      { aliasPrefix: 'k/' },
    );
    const name = '0123456789abcdef0123456789abcdef';
    expect(await refusalOf(provider.createKey({ ...INPUT, name }))).toMatchObject({ code: 'ERR_KMS_DENIED' });
    expect(server.asked.slice(-2)).toMatchObject([
      { operation: 'ListAliases', input: { KeyId: ARN } },
      { operation: 'DeleteAlias', input: { AliasName: `alias/k/${name}` } },
    ]);
  });

  it('that could be neither finished nor undone shows what AWS KMS said, and is not to be repeated', async () => {
    const { provider } = await open(({ operation }, response) => {
      if (operation === 'CreateKey') succeed(response, { KeyMetadata: { Arn: ARN } });
      else refuse(response, 'AccessDeniedException');
    });
    const error = (await refusalOf(provider.createKey(INPUT))) as KeywrightError<string>;
    expect(error).toMatchObject({ code: 'ERR_KMS_DENIED', retryable: false, context: { state: 'creating' } });
    expect(rawCause(error)).toMatchObject({ name: 'AccessDeniedException' });
  });

  it('that a close interrupts is undone before the close is over', async () => {
    const { promise: isMade, resolve } = Promise.withResolvers<void>();
    const { server, provider } = await open(making(() => resolve())); // whose public key is never told
    const made = refusalOf(provider.createKey(INPUT));
    await isMade;
    await provider.close();
    expect(server.asked.map(({ operation }) => operation)).toEqual([
      'CreateKey',
      'GetPublicKey',
      'ScheduleKeyDeletion',
    ]);
    expect(await made).toMatchObject({ code: 'ERR_KMS_CLOSED' });
  });

  it('in another region than the provider is for is refused and undone: it could not be used', async () => {
    const { server } = await open(making((_asked, response) => succeed(response, PUBLIC)));
    const client = sdkAt(server.url);
    onTestFinished(() => client.destroy());
    const nothing = { endpoint: undefined, accessKeyId: undefined, secretAccessKey: undefined };
    const provider = providerAt('', { ...nothing, client, region: 'us-east-1' });
    expect(await refusalOf(provider.createKey(INPUT))).toMatchObject({
      code: 'ERR_KMS_INVALID_ARGUMENT',
      context: { argument: 'client', received: 'a key in eu-central-1' },
    });
    expect(server.asked.map(({ operation }) => operation)).toEqual(['CreateKey', 'ScheduleKeyDeletion']);
  });
});

describe('taking a key over', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const rsaJwk = rsa.privateKey.export({ format: 'jwk' }) as PrivateJwk;
  const wrapping = {
    ImportToken: Buffer.from('token').toString('base64'),
    PublicKey: rsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
  };

  it.each(SIGN_ALGS.filter((alg) => alg.startsWith('RS') || alg.startsWith('PS')))(
    '%s asks for a key of the size of the given one',
    async (alg) => {
      const { server, provider } = await open(making((_asked, response) => refuse(response, 'AccessDeniedException')));
      await refusalOf(provider.importKey({ ...INPUT, alg, privateJwk: rsaJwk }));
      expect(server.asked[0]?.input).toMatchObject({ KeySpec: 'RSA_2048', Origin: 'EXTERNAL' });
    },
  );

  it('waits until AWS KMS finds the key that is to be filled', async () => {
    const asked = (server: { asked: readonly Asked[] }, operation: string): number =>
      server.asked.filter((one) => one.operation === operation).length;
    const { n, e } = rsaJwk as { n?: string; e?: string };
    const { server, provider } = await open(
      making(({ operation }, response) => {
        if (asked(server, operation) === 1) refuse(response, 'NotFoundException');
        else if (operation === 'GetParametersForImport') succeed(response, wrapping);
        else if (operation === 'GetPublicKey') {
          succeed(response, { KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048', PublicKey: wrapping.PublicKey });
        } else succeed(response, {});
      }),
    );
    const key = await provider.importKey({ ...INPUT, alg: 'RS256', privateJwk: rsaJwk });
    expect(key.publicJwk).toEqual({ kty: 'RSA', n, e });
    for (const operation of ['GetParametersForImport', 'ImportKeyMaterial', 'GetPublicKey']) {
      expect(asked(server, operation), operation).toBe(2);
    }
  });
});
