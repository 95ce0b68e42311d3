import { setTimeout as sleep } from 'node:timers/promises';
import { verifySignature } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeOnRemoteToken } from '@keywright/testkit/hsm';
import { expect, it } from 'vitest';
import { optionsOn } from './harness.ts';

const CALLERS = 64;
const DATA = Buffer.from('signed through a power cut');
/** For how long the token is away, in milliseconds, time after time. */
const AWAY_MS = [0, 600];

describeOnRemoteToken('a token', (token) => {
  it('that is restarted under load signs again for every caller', async () => {
    const provider = pkcs11Provider(optionsOn(token()));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const end = new AbortController();
    const refusals = new Set<string>();
    let slowest = 0;
    const caller = async (): Promise<number> => {
      let afterwards = 0;
      while (!end.signal.aborted) {
        const start = performance.now();
        try {
          const signature = await provider.sign(key, DATA);
          if (!verifySignature('ES256', key.publicJwk, DATA, signature)) throw new Error('a wrong signature');
          afterwards++;
        } catch (error) {
          refusals.add((error as { code?: string }).code ?? String(error));
          afterwards = 0;
          await sleep(10);
        }
        slowest = Math.max(slowest, performance.now() - start);
      }
      return afterwards;
    };
    const callers = Array.from({ length: CALLERS }, caller);
    for (const away of AWAY_MS) {
      await sleep(100);
      await token().kill();
      await sleep(away);
      await token().start();
      await sleep(700);
    }
    end.abort();
    const signed = await Promise.all(callers);
    refusals.delete('ERR_KMS_UNAVAILABLE'); // while the token was away
    expect([...refusals]).toEqual([]);
    expect(Math.min(...signed)).toBeGreaterThan(0);
    expect(slowest).toBeLessThan(5_000);
    expect(await provider.health()).toMatchObject({ ok: true });
    await provider.close();
  });

  it('that can do less than others says so once it has been met', async () => {
    const provider = pkcs11Provider(optionsOn(token()));
    expect(provider.capabilities).toMatchObject({ wrapKey: true, algs: { EdDSA: { create: true } } });
    expect(await provider.health()).toMatchObject({ ok: true });
    // p11-kit 0.24 passes on neither AES-GCM, nor key wrapping, nor EdDSA.
    expect(provider.capabilities).toMatchObject({ wrapKey: false, algs: { ES256: { create: true } } });
    expect(provider.capabilities.algs.EdDSA).toBe(undefined);
    await provider.close();
  });
});
