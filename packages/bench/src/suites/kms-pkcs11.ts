import { type KmsKey, type KmsProvider, type SignAlg, verifySignature } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { nssLibrary, softHsmLibrary, startNss, startSoftHsm, type TestToken } from '@keywright/testkit';
import { Fixtures } from '../fixtures.ts';
import { BareHsm } from '../hsm/bare.ts';
import type { LoadCase, LoadSuite } from '../load/suite.ts';

const BARE = 'bare pkcs11js';
const SESSIONS = 4;
const BYTES = 256;
const BUDGET = { measure: 'throughput', against: BARE, least: 0.9 } as const;

const about = `Signatures of ${BYTES} bytes by a token, on ${SESSIONS} sessions: SoftHSM, and NSS's software token.

- **${BARE}**, the baseline: \`C_SignInit\` and \`C_SignAsync\` with handles at hand, calls taking turns on sessions that
  are logged in. Nothing is checked, timed or recovered.
- **keywright**: \`provider.sign(key, data)\`: arguments and answer checked, the key found by its reference, a deadline for
  each call, lost sessions opened again.`;

/** Signing in a token against the binding alone. */
export const kmsPkcs11: LoadSuite = {
  kind: 'load',
  name: 'kms-pkcs11',
  title: 'KMS: signing in a token',
  about,
  operations: 'signatures',
  rounds: 25,
  sliceMs: 250,
  missing: () =>
    softHsmLibrary() === undefined || nssLibrary() === undefined ? 'softhsm2 and libnss3-tools' : undefined,

  async open() {
    const softHsm = await openToken(await startSoftHsm());
    const nss = await openToken(await startNss());
    return {
      cases: [
        await caseOn(softHsm, 'SoftHSM, ES256, 1 caller', 'ES256', 1),
        await caseOn(softHsm, 'SoftHSM, ES256, 64 callers', 'ES256', 64),
        await caseOn(softHsm, 'SoftHSM, RS256, 64 callers', 'RS256', 64),
        await caseOn(nss, 'NSS, ES256, 64 callers', 'ES256', 64),
      ],
      facts: `RSA keys of 3,072 bits.`,
      close: async () => {
        await softHsm.close();
        await nss.close();
      },
    };
  },
};

interface OpenToken {
  readonly provider: KmsProvider;
  readonly bare: BareHsm;
  close(): Promise<void>;
}

async function openToken(token: TestToken): Promise<OpenToken> {
  const { library, libraryParameters, label: slot, pin } = token;
  const provider = pkcs11Provider({ id: 'hsm', library, libraryParameters, slot, pin, sessions: SESSIONS });
  const { ok, error } = await provider.health();
  if (!ok) throw new Error(error);
  const bare = new BareHsm(token, SESSIONS);
  return {
    provider,
    bare,
    close: async () => {
      bare.close();
      await provider.close();
      await token.stop();
    },
  };
}

async function caseOn({ provider, bare }: OpenToken, name: string, alg: SignAlg, callers: number): Promise<LoadCase> {
  const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', alg });
  const handle = bare.privateKey(key.externalId);
  const data = new Fixtures(callers).bytes(BYTES);
  const signBare = (): Promise<Buffer> =>
    alg === 'RS256' ? bare.signRs256(handle, data) : bare.signEs256(handle, data);
  const sign = (): Promise<Uint8Array> => provider.sign(key, data);
  return {
    name,
    callers,
    contenders: [
      { name: BARE, role: 'baseline', call: signBare, check: () => checked(key, data, signBare) },
      { name: 'keywright', role: 'subject', call: sign, check: () => checked(key, data, sign), budgets: [BUDGET] },
    ],
  };
}

async function checked(key: KmsKey, data: Uint8Array, sign: () => Promise<Uint8Array>): Promise<void> {
  if (!verifySignature(key.alg, key.publicJwk, data, await sign())) throw new Error('A signature does not verify.');
}
