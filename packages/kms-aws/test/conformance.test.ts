import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { kmsKeyWrapper, SIGN_ALGS } from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { describeOnAwsKms } from '@keywright/testkit/aws';
import { rootInKmsTests } from '../../kms/test/support/root-in-kms.ts';
import { ALL, providerAt, publicKeyBySdk, sdkAt } from './support.ts';

const CREDENTIAL = 'conformance-canary-of-a-session-token';

describeOnAwsKms('the conformance suites', (server) => {
  kmsConformance('aws-kms', {
    capabilities: {
      algs: Object.fromEntries(SIGN_ALGS.map((alg) => [alg, ALL])),
      defaultAlg: 'ES256',
      deleteKey: 'scheduled',
      listKeys: true,
      exportKey: false,
      wrapKey: true,
    },
    tenantsApart: false,
    // What is asked for each of them is seen in making.test.ts.
    sharesRsaKeys: true,
    async start() {
      const { url, requests } = server();
      const sdk = sdkAt(url);
      const provider = providerAt(url, { sessionToken: CREDENTIAL });
      return {
        provider,
        secrets: [CREDENTIAL],
        backendPublicKey: (key) => publicKeyBySdk(sdk, key),
        backendCalls: () => requests.length,
        unreachable: () => providerAt('http://127.0.0.1:9', { sessionToken: CREDENTIAL, retries: 0 }),
        async dispose() {
          sdk.destroy();
          await provider.close();
        },
      };
    },
  });

  rootInKmsTests('AWS KMS', {
    async start() {
      const provider = providerAt(server().url);
      const sdk = sdkAt(server().url);
      const keys = [await provider.createWrappingKey(), await provider.createWrappingKey()] as const;
      // moto does not find the key that it is to disable by its ARN.
      const KeyId = keys[0].externalId.replace(/^.*\//, '');
      return {
        provider,
        keys,
        unreachable: () => providerAt('http://127.0.0.1:9', { retries: 0 }),
        async forbid() {
          await sdk.disableKey({ KeyId });
          return async () => void (await sdk.enableKey({ KeyId }));
        },
        async dispose() {
          sdk.destroy();
          await provider.close();
        },
      };
    },
  });

  keyWrapperConformance('of AWS KMS', async () => {
    const provider = providerAt(server().url);
    const [a, b, c] = [
      await provider.createWrappingKey(),
      await provider.createWrappingKey(),
      await provider.createWrappingKey(),
    ];
    return {
      wrapper: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'a' }),
      otherKid: 'b',
      rotated: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'b' }),
      narrower: kmsKeyWrapper({ provider, keys: { b }, activeKid: 'b' }),
      impostor: kmsKeyWrapper({ provider, keys: { a: c }, activeKid: 'a' }),
      dispose: () => provider.close(),
    };
  });
});
