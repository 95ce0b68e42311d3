import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { kmsKeyWrapper } from '@keywright/kms';
import { describeOnAwsKms } from '@keywright/testkit/aws';
import { rootInKmsTests } from '../../kms/test/support/root-in-kms.ts';
import { providerAt, sdkAt } from './support.ts';

describeOnAwsKms('a root key in AWS KMS', (server) => {
  rootInKmsTests('AWS KMS', {
    engines: ['sqlite', 'postgres'],
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
