import { setTimeout as sleep } from 'node:timers/promises';
import { type KmsProvider, verifySignature } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeEachToken } from '@keywright/testkit/hsm';
import pkcs11js from 'pkcs11js';
import { expect, it } from 'vitest';
import { BareToken, bindingWith, optionsOn, rejection } from './harness.ts';

const DATA = Buffer.from('data');

describeEachToken('a provider', (token) => {
  it('whose only session is in another operation, signs all the same', async () => {
    let left = 0;
    const module = bindingWith((cryptoki) => {
      const init = cryptoki.C_SignInit.bind(cryptoki);
      cryptoki.C_SignInit = (...args) => {
        if (left-- > 0) throw new pkcs11js.Pkcs11Error('CKR_OPERATION_ACTIVE:144', 144, 'C_SignInit');
        init(...args);
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module, sessions: 1 }));
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    left = 1;
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    await provider.close();
  });

  it('signs on new sessions when another provider is first to see that the library was stopped', async () => {
    const sessions = new Map<string, Set<string>>();
    let generation = 0;
    let foreign = 0;
    const module = bindingWith((cryptoki) => {
      const { C_Initialize: start, C_SignInit: init, C_OpenSession: open } = cryptoki;
      cryptoki.C_Initialize = (...args) => {
        start.apply(cryptoki, args);
        sessions.set(String(++generation), new Set());
      };
      cryptoki.C_OpenSession = (...args) => {
        const session = open.apply(cryptoki, args);
        sessions.get(String(generation))?.add(session.toString('hex'));
        return session;
      };
      cryptoki.C_SignInit = (session, ...args) => {
        if (!sessions.get(String(generation))?.has(session.toString('hex'))) foreign++;
        init.call(cryptoki, session, ...args);
      };
    });
    const first = pkcs11Provider(optionsOn(token(), { module, id: 'first' }));
    const second = pkcs11Provider(optionsOn(token(), { module, id: 'second' }));
    const third = pkcs11Provider(optionsOn(token(), { module, id: 'third' }));
    const key = await first.createKey({ tenantId: 'acme', keyId: 'k1' });
    await second.health();
    await first.sign(key, DATA);
    new BareToken(token()).cryptoki.C_Finalize();
    // The second one notices, and the third one joins meanwhile.
    const noticed = second.health();
    expect(await third.health()).toMatchObject({ ok: true });
    await Promise.all([noticed, ...Array.from({ length: 8 }, () => first.sign(key, DATA))]);
    expect(foreign).toBe(0);
    await Promise.all([first.close(), second.close(), third.close()]);
  });

  it('that joins does not start a stopped library while a call of another is under way', async () => {
    const hold = Promise.withResolvers<void>();
    let starts = 0;
    const module = bindingWith((cryptoki) => {
      const start = cryptoki.C_Initialize.bind(cryptoki);
      const sign = cryptoki.C_SignAsync.bind(cryptoki);
      cryptoki.C_Initialize = (...args) => {
        starts++;
        start(...args);
      };
      cryptoki.C_SignAsync = async (...args) => {
        await hold.promise;
        return await sign(...args);
      };
    });
    const [first, second, third] = ['first', 'second', 'third'].map((id) =>
      pkcs11Provider(optionsOn(token(), { module, id })),
    ) as [KmsProvider, KmsProvider, KmsProvider];
    const key = await first.createKey({ tenantId: 'acme', keyId: 'k1' });
    await second.health();
    const signing = first.sign(key, DATA);
    await sleep(10);
    new BareToken(token()).cryptoki.C_Finalize();
    const others = [second.health()];
    await sleep(10);
    others.push(third.health());
    await sleep(100);
    const startsMeanwhile = starts;
    hold.resolve();
    expect(verifySignature('ES256', key.publicJwk, DATA, await signing)).toBe(true);
    expect(await Promise.all(others)).toMatchObject([{ ok: true }, { ok: true }]);
    expect(startsMeanwhile).toBe(1);
    await Promise.all([first.close(), second.close(), third.close()]);
  });

  it('does not call a wrapped key wrong that the token may not unwrap', async () => {
    let refuse = false;
    const module = bindingWith((cryptoki) => {
      const list = cryptoki.C_GetMechanismList.bind(cryptoki);
      const unwrap = cryptoki.C_UnwrapKeyAsync.bind(cryptoki);
      cryptoki.C_GetMechanismList = (slot) => list(slot).filter((mechanism) => mechanism !== pkcs11js.CKM_AES_GCM);
      cryptoki.C_UnwrapKeyAsync = async (...args) => {
        if (!refuse) return await unwrap(...args);
        throw new pkcs11js.Pkcs11Error('CKR_KEY_FUNCTION_NOT_PERMITTED:104', 104, 'C_UnwrapKey');
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    const root = await provider.createWrappingKey();
    const wrapped = await provider.wrapKey(root, Buffer.alloc(32, 7), { purpose: 'test' });
    refuse = true;
    const { code } = await rejection(provider.unwrapKey(root, wrapped, { purpose: 'test' }));
    expect(code).toBe('ERR_KMS_KEY_NOT_USABLE');
    await provider.close();
  });
});
