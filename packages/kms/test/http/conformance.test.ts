import { type HttpProviderOptions, httpProvider, type KmsCapabilities, SIGN_ALGS, type SignAlg } from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { makeCertificates, type RemoteKmsOptions, startRemoteKms } from '@keywright/testkit/kms';
import { startTokenServer } from './token-server.ts';

interface Way {
  readonly server: RemoteKmsOptions;
  readonly client: Omit<HttpProviderOptions, 'id' | 'baseUrl'>;
  readonly secrets: () => readonly string[];
  readonly stop?: () => Promise<void>;
}

const WAYS: Readonly<Record<string, () => Promise<Way>>> = {
  'with a bearer token': async () => {
    const apiKey = 'api-key-7d0c2a9e5f';
    return { server: { auth: { kind: 'bearer', apiKey } }, client: { apiKey }, secrets: () => [apiKey] };
  },
  'with mutual TLS': async () => {
    const { ca, server, client } = makeCertificates();
    const secrets = (): string[] => [client.key, client.key.split('\n')[1] ?? ''];
    return { server: { auth: { kind: 'mtls', ca }, tls: server }, client: { tls: { ca, ...client } }, secrets };
  },
  'with client credentials': async () => {
    const tokens = await startTokenServer();
    const { tokenUrl, clientId, clientSecret } = tokens;
    return {
      server: { auth: tokens.auth },
      client: { oauth: { tokenUrl, clientId, clientSecret, scope: 'kms' } },
      secrets: () => [clientSecret, ...tokens.tokens],
      stop: tokens.stop,
    };
  },
};

/** All of them once: a key of RSA takes its time. */
const algsOf = (way: string): readonly SignAlg[] => (way === 'with a bearer token' ? SIGN_ALGS : ['ES256', 'EdDSA']);

const capabilitiesOf = (algs: readonly SignAlg[]): KmsCapabilities => ({
  algs: Object.fromEntries(algs.map((alg) => [alg, { create: true, import: true }])),
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: true,
  exportKey: false,
  wrapKey: false,
});

for (const [way, prepare] of Object.entries(WAYS)) {
  kmsConformance(`http ${way}`, {
    capabilities: capabilitiesOf(algsOf(way)),
    tenantsApart: false,
    async start() {
      const { server, client, secrets, stop } = await prepare();
      const service = await startRemoteKms(server);
      const options = { ...client, algs: algsOf(way), canImport: true, canList: true };
      const provider = httpProvider({ id: 'remote', baseUrl: service.url, ...options });
      await provider.health(); // a token, where there are tokens
      return {
        provider,
        secrets: secrets(),
        backendPublicKey: async ({ externalId }) => service.keys.publicJwk(externalId),
        backendCalls: () => service.requests.length,
        atRest: async () => '',
        unreachable: () => httpProvider({ id: 'nobody', ...options, baseUrl: 'https://127.0.0.1:1', retries: 1 }),
        async dispose() {
          await provider.close();
          await service.stop();
          await stop?.();
        },
      };
    },
  });
}
