import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeEachToken, describeOnSoftHsm } from '@keywright/testkit/hsm';
import pkcs11js from 'pkcs11js';
import { expect, it } from 'vitest';
import { bindingWith, countingBinding, optionsOn, rejection } from './harness.ts';

const FINAL_TRY = 0x2_0000;
const LOCKED = 0x4_0000;

describeEachToken('a PIN', (token) => {
  it('that is wrong is shown to the token once, however often and by however many it is tried', async () => {
    const { binding: module, calls } = countingBinding();
    const options = optionsOn(token(), { module, pin: 'not the right one' });
    const provider = pkcs11Provider(options);
    const input = { tenantId: 'acme', keyId: 'k1' };
    const first = await Promise.all(Array.from({ length: 20 }, () => rejection(provider.createKey(input))));
    expect(new Set(first.map(({ code }) => code))).toEqual(new Set(['ERR_KMS_CREDENTIALS']));
    for (let time = 0; time < 3; time++) {
      expect(await rejection(provider.listKeys())).toMatchObject({ code: 'ERR_KMS_PIN_LOCKED', retryable: false });
    }
    await provider.close();
    const again = pkcs11Provider({ ...options, id: 'again' });
    expect(await again.health()).toMatchObject({ ok: false, code: 'ERR_KMS_PIN_LOCKED' });
    await again.close();
    expect(calls.get('C_Login')).toBe(1);

    const right = pkcs11Provider(optionsOn(token(), { module }));
    expect(await right.health()).toMatchObject({ ok: true });
    expect(calls.get('C_Login')).toBe(2);
    await right.close();
  });
});

describeOnSoftHsm('a PIN', (token) => {
  it.each([
    ['has one try left', FINAL_TRY],
    ['is locked', LOCKED],
  ])('that %s is not shown to the token', async (_title, flag) => {
    let logins = 0;
    const module = bindingWith((cryptoki) => {
      const { C_GetTokenInfo: info, C_Login: login } = cryptoki;
      cryptoki.C_GetTokenInfo = (slot) => {
        const read = info.call(cryptoki, slot);
        return { ...read, flags: read.flags | flag };
      };
      cryptoki.C_Login = (...args) => {
        logins++;
        login.apply(cryptoki, args);
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_PIN_LOCKED' });
    expect(logins).toBe(0);
    await provider.close();
  });

  it('that the token has locked is told apart from a wrong one', async () => {
    const module = bindingWith((cryptoki) => {
      cryptoki.C_Login = () => {
        throw new pkcs11js.Pkcs11Error('CKR_PIN_LOCKED:164', 164, 'C_Login');
      };
    });
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_PIN_LOCKED' });
    await provider.close();
  });
});
