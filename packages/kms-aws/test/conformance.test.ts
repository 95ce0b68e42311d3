import { SIGN_ALGS } from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { describeOnAwsKms } from '@keywright/testkit/aws';
import { ALL, providerAt, publicKeyBySdk, sdkAt } from './support.ts';

const CREDENTIAL = 'conformance-canary-of-a-session-token';

describeOnAwsKms('the conformance suite', (server) => {
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
    async start() {
      const { url, requests } = server();
      const sdk = sdkAt(url);
      const provider = providerAt(url, { sessionToken: CREDENTIAL });
      return {
        provider,
        secrets: [CREDENTIAL],
        backendPublicKey: (key) => publicKeyBySdk(sdk, key),
        backendCalls: () => requests.length,
        unreachable: () => providerAt('http://127.0.0.1:9', { sessionToken: CREDENTIAL }),
        async dispose() {
          sdk.destroy();
          await provider.close();
        },
      };
    },
  });
});
