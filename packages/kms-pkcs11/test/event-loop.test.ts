import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeOnSoftHsm } from '@keywright/testkit/hsm';
import pkcs11js from 'pkcs11js';
import { expect, it } from 'vitest';
import { BareToken, optionsOn } from './harness.ts';

const SIGNATURES = 64;
const DATA = Buffer.from('data');
/** What others do on the machine meanwhile counts too: the best of some rounds is what the calls do. */
const ROUNDS = 5;

describeOnSoftHsm('64 signatures with RSA-3072 at once', (token) => {
  it('delay the event loop by a twentieth, at most, of what synchronous calls delay it', { retry: 2 }, async () => {
    const provider = pkcs11Provider(optionsOn(token(), { sessions: 4 }));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1', alg: 'RS256' });
    const bare = new BareToken(token());
    const delays: number[] = [];
    const blocked: number[] = [];
    // Often enough that the delay has a percentile.
    const sign = async (): Promise<void> => {
      for (let time = 0; time < 3; time++) await provider.sign(key, DATA);
    };
    await sign();
    const isProven = (): boolean => Math.min(...delays) * 20 <= Math.min(...blocked);
    for (let round = 0; round === 0 || (round < ROUNDS && !isProven()); round++) {
      delays.push(
        await p99During(async () => {
          await Promise.all(Array.from({ length: SIGNATURES }, sign));
        }),
      );
      blocked.push(await p99During(async () => bare.withSession((session) => signAll(bare, session, key.externalId))));
    }
    await provider.close();
    expect(Math.min(...delays) * 20).toBeLessThanOrEqual(Math.min(...blocked));
  });
});

function signAll(bare: BareToken, session: Buffer, externalId: string): void {
  const [privateKey] = bare.objects(session, externalId, pkcs11js.CKO_PRIVATE_KEY);
  const mechanism = { mechanism: pkcs11js.CKM_SHA256_RSA_PKCS };
  for (let count = 0; count < SIGNATURES; count++) {
    bare.cryptoki.C_SignInit(session, mechanism, privateKey as Buffer);
    bare.cryptoki.C_Sign(session, DATA, Buffer.alloc(384));
  }
}

/** 99th percentile of the delay, in milliseconds, beyond the timer's own millisecond. */
async function p99During(work: () => Promise<void>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await new Promise((resolve) => setTimeout(resolve, 5));
  await work();
  await new Promise((resolve) => setTimeout(resolve, 5));
  histogram.disable();
  return histogram.percentile(99) / 1e6 - 1;
}
