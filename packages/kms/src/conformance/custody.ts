import { expect } from 'vitest';
import { SIGN_ALGS } from '../algorithms.ts';
import { bytes, expectRefusal, type Subject, type Theme } from './harness.ts';
import { sampleKey } from './sample-keys.ts';
import { PRIVATE_MARKERS, privateForms, shown, textForms } from './search.ts';

/** Neither a private key nor a credential is found anywhere but where it belongs. */
export const custody: Theme = ({ capabilities }) => [
  {
    title: 'shows no private key and no credential: in errors, in what is inspected, stored or logged',
    async run(subject) {
      const { provider, setup } = subject;
      const hidden = (setup.secrets ?? []).filter((text) => text !== '').flatMap(textForms);
      const importable = SIGN_ALGS.find((alg) => capabilities.algs[alg]?.import);
      const texts: string[] = [];
      const key = await subject.key('custody');
      texts.push(shown(key), shown(provider), shown(await provider.getPublicKey(key)), shown(await provider.health()));
      if (importable !== undefined) {
        const privateJwk = sampleKey(importable);
        hidden.push(...privateForms(privateJwk));
        const imported = await provider.importKey({ ...subject.input('custody/import'), alg: importable, privateJwk });
        await provider.sign(imported, bytes(16));
        texts.push(shown(imported));
      }
      if (capabilities.exportKey) hidden.push(...privateForms(await provider.exportKey(key)));
      texts.push(...(await refusals(subject)));
      const down = setup.unreachable?.();
      if (down !== undefined) {
        texts.push(shown(down), shown(await down.health({ timeoutMs: 200 })));
        const failed = down.sign({ ...key, providerId: down.id }, bytes(8), { timeoutMs: 200 });
        texts.push(shown(await failed.catch((error: unknown) => error)));
        await down.close();
      }
      const stored = (await setup.atRest?.()) ?? '';
      texts.push(typeof stored === 'string' ? stored : Buffer.from(stored).toString('latin1'));
      texts.push(setup.logged?.() ?? '', shown(provider));
      for (const text of texts) {
        for (const form of hidden) expect(text.includes(form), 'a secret shows').toBe(false);
        for (const marker of PRIVATE_MARKERS) expect(marker.test(text), 'a private key shows').toBe(false);
      }
    },
  },
];

/** Refusals of many kinds, as they would be logged. */
async function refusals({ provider, ...subject }: Subject): Promise<readonly string[]> {
  const [secret = 'nothing'] = subject.setup.secrets ?? [];
  const alg = provider.capabilities.defaultAlg;
  const jwk = sampleKey(alg);
  const ref = { tenantId: secret, keyId: 'k1', providerId: provider.id, externalVersion: null, alg };
  const calls = [
    provider.createKey({ tenantId: `${secret}\0`, keyId: 'k1' }),
    provider.createKey({ tenantId: 'conformance-a', keyId: `${secret}/` }),
    provider.importKey({ tenantId: 'conformance-a', keyId: `/${secret}`, privateJwk: jwk }),
    provider.importKey({ tenantId: 'conformance-a', keyId: 'k1', privateJwk: { ...jwk, kty: secret } as never }),
    provider.sign({ ...ref, externalId: '', tenantId: 'conformance-a' }, Buffer.from(secret)),
    provider.sign({ ...ref, externalId: '0', tenantId: `${secret}\0` }, Buffer.from(secret)),
    provider.sign(ref as never, secret as never),
  ];
  return await Promise.all(
    calls.map(async (call) => {
      return shown(await expectRefusal(call, 'ERR_KMS_INVALID_ARGUMENT', 'ERR_KMS_UNSUPPORTED'));
    }),
  );
}
