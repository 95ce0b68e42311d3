import { renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type KmsKey, type KmsProvider, verifySignature } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import type { TestToken } from '@keywright/testkit';
import { describeEachToken, describeOnSoftHsm } from '@keywright/testkit/hsm';
import { expect, it } from 'vitest';
import { BareToken, bindingWith, countingBinding, Gate, optionsOn, rejection } from './harness.ts';

const CALLERS = 64;
const DATA = Buffer.from('signed through it all');

/** Signs by 64 callers at once until told to stop; every signature is verified. */
function load(provider: KmsProvider, key: KmsKey): { stop(): Promise<{ signed: number; codes: Set<string> }> } {
  const end = new AbortController();
  let signed = 0;
  const codes = new Set<string>();
  const caller = async (): Promise<void> => {
    while (!end.signal.aborted) {
      try {
        const signature = await provider.sign(key, DATA);
        if (!verifySignature('ES256', key.publicJwk, DATA, signature)) throw new Error('a wrong signature');
        signed++;
      } catch (error) {
        codes.add((error as { code?: string }).code ?? String(error));
        await sleep(5);
      }
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  return {
    stop: async () => {
      end.abort();
      await Promise.all(callers);
      return { signed, codes };
    },
  };
}

describeEachToken('a token that is lost under load', (token, name) => {
  const disturb: Readonly<Record<string, (bare: BareToken) => void>> = {
    'whose sessions another part of the process closes': ({ cryptoki, slot }) => cryptoki.C_CloseAllSessions(slot),
    'whose user another part of the process logs out': (bare) => {
      const session = bare.cryptoki.C_OpenSession(bare.slot, 6);
      bare.cryptoki.C_Logout(session);
      bare.cryptoki.C_CloseSession(session);
    },
    'whose library another part of the process stops': ({ cryptoki }) => cryptoki.C_Finalize(),
  };
  for (const [title, work] of Object.entries(disturb)) {
    it(`${title}, signs on without a failed call`, async () => {
      const gate = new Gate();
      const provider = pkcs11Provider(optionsOn(token(), { module: gate.binding }));
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
      const bare = new BareToken(token());
      const { stop } = load(provider, key);
      for (let time = 0; time < 3; time++) {
        await sleep(40);
        await gate.whileEmpty(() => work(bare));
      }
      await sleep(40);
      const { signed, codes } = await stop();
      expect([...codes]).toEqual([]);
      expect(signed).toBeGreaterThan(CALLERS);
      await provider.close();
    });
  }

  it('whose sessions are gone, makes and deletes keys all the same', async () => {
    const provider = pkcs11Provider(optionsOn(token()));
    const first = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const bare = new BareToken(token());
    bare.cryptoki.C_CloseAllSessions(bare.slot);
    const second = await provider.createKey({ tenantId: 'acme', keyId: 'k2' });
    bare.cryptoki.C_CloseAllSessions(bare.slot);
    expect((await provider.listKeys()).keys.map(({ name: listed }) => listed)).toContain(second.externalId);
    bare.cryptoki.C_CloseAllSessions(bare.slot);
    await provider.deleteKey(first);
    bare.cryptoki.C_CloseAllSessions(bare.slot);
    expect(await provider.health()).toMatchObject({ ok: true });
    expect((await rejection(provider.sign(first, DATA))).code).toBe('ERR_KMS_KEY_NOT_FOUND');
    await provider.close();
  });

  if (name === 'SoftHSM') {
    it('that is pulled out and put back, signs again; meanwhile no key is said to be gone', async () => {
      const provider = pkcs11Provider(optionsOn(token()));
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
      const { stop } = load(provider, key);
      await sleep(50);
      const away = pullOut(token());
      await sleep(100);
      expect(await provider.health({ timeoutMs: 2_000 })).toMatchObject({ ok: false, code: 'ERR_KMS_UNAVAILABLE' });
      expect((await rejection(provider.listKeys())).code).toBe('ERR_KMS_UNAVAILABLE');
      expect((await rejection(provider.deleteKey(key))).code).toBe('ERR_KMS_UNAVAILABLE');
      away.putBack();
      await sleep(600);
      const { codes } = await stop();
      codes.delete('ERR_KMS_UNAVAILABLE'); // while it was away
      expect([...codes]).toEqual([]);
      expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
      await provider.close();
    });
  }
});

describeOnSoftHsm('a session', (token) => {
  it('whose call was given up serves again only when the library has returned from it', async () => {
    const held: { sessions: string[]; release: PromiseWithResolvers<void> } = {
      sessions: [],
      release: Promise.withResolvers(),
    };
    let hold = false;
    const module = bindingWith((cryptoki) => {
      const sign = cryptoki.C_SignAsync.bind(cryptoki);
      cryptoki.C_SignAsync = async (session, ...args) => {
        held.sessions.push(session.toString('hex'));
        if (hold) await held.release.promise;
        return await sign(session, ...args);
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module, sessions: 2 }));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    hold = true;
    const stuck = await Promise.all([
      rejection(provider.sign(key, DATA, { timeoutMs: 50 })),
      rejection(provider.sign(key, DATA, { signal: AbortSignal.timeout(20) })),
      rejection(provider.sign(key, DATA, { timeoutMs: 50 })),
    ]);
    expect(stuck.map(({ code }) => code)).toEqual(['ERR_KMS_TIMEOUT', 'ERR_KMS_ABORTED', 'ERR_KMS_TIMEOUT']);
    expect(new Set(held.sessions).size).toBe(2);
    expect(await provider.health({ timeoutMs: 50 })).toMatchObject({ ok: false, code: 'ERR_KMS_TIMEOUT' });
    hold = false;
    const waiting = provider.sign(key, DATA);
    held.release.resolve();
    expect(verifySignature('ES256', key.publicJwk, DATA, await waiting)).toBe(true);
    expect(new Set(held.sessions).size).toBe(2);
    await provider.close();
  });

  it('is opened when it is needed, in a software token once for each processor at most', async () => {
    const { binding: module, calls } = countingBinding();
    const provider = pkcs11Provider(optionsOn(token(), { module, sessions: 16 }));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    expect(calls.get('C_OpenSession')).toBe(1);
    await Promise.all(Array.from({ length: CALLERS }, () => provider.sign(key, DATA)));
    expect(calls.get('C_OpenSession')).toBe(Math.min(16, Math.max(2, availableParallelism())));
    await provider.close();
    expect(calls.get('C_CloseSession')).toBe(calls.get('C_OpenSession'));
  });

  it('is waited for by a bounded number of calls, which closing ends', async () => {
    const release = Promise.withResolvers<void>();
    const module = bindingWith((cryptoki) => {
      const sign = cryptoki.C_SignAsync.bind(cryptoki);
      cryptoki.C_SignAsync = async (...args) => {
        await release.promise;
        return await sign(...args);
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module, sessions: 1, maxWaiting: 3 }));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    const outcomes = Array.from({ length: 6 }, () => rejection(provider.sign(key, DATA)));
    const refused = await Promise.race(outcomes);
    expect(refused).toMatchObject({ code: 'ERR_KMS_THROTTLED', retryable: true });
    setTimeout(release.resolve, 50);
    await provider.close();
    const codes = (await Promise.all(outcomes)).map(({ code }) => code);
    expect(codes.toSorted()).toEqual([...Array(4).fill('ERR_KMS_CLOSED'), ...Array(2).fill('ERR_KMS_THROTTLED')]);
  });
});

function pullOut({ folder }: TestToken): { putBack(): void } {
  const away = `${folder}.away`;
  renameSync(folder, away);
  return { putBack: () => renameSync(away, folder) };
}
