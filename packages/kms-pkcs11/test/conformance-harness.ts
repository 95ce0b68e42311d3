import type { KmsCapabilities, SignAlg } from '@keywright/kms';
import type { KmsHarness } from '@keywright/kms/conformance';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import type { TokenKind } from '@keywright/testkit/hsm';
import { BareToken, optionsOn } from './harness.ts';

/** What every token here signs for. */
export const COMMON_ALGS: readonly SignAlg[] = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
];

/** A provider on a token of its own, declared to sign for these algorithms. */
export function harnessOn({ start }: TokenKind, algs: readonly SignAlg[]): KmsHarness {
  return {
    capabilities: capabilitiesFor(algs),
    tenantsApart: false,
    async start() {
      const token = await start();
      const provider = pkcs11Provider(optionsOn(token));
      return {
        provider,
        secrets: [token.pin],
        backendPublicKey: async (key) => new BareToken(token).publicKey(key),
        unreachable: () => pkcs11Provider(optionsOn(token, { id: 'away', slot: 'no such token' })),
        dispose: async () => {
          await provider.close();
          await token.stop();
        },
      };
    },
  };
}

function capabilitiesFor(algs: readonly SignAlg[]): KmsCapabilities {
  return {
    algs: Object.fromEntries(algs.map((alg) => [alg, { create: true, import: false }])),
    defaultAlg: 'ES256',
    deleteKey: 'immediate',
    listKeys: true,
    exportKey: false,
    wrapKey: true,
  };
}
