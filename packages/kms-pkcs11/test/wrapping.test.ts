import { EnvelopeError } from '@keywright/envelope';
import type { KmsProvider } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeEachToken, describeOnSoftHsm } from '@keywright/testkit/hsm';
import pkcs11js from 'pkcs11js';
import { expect, it, onTestFinished } from 'vitest';
import { BareToken, bindingWith, optionsOn, rejection } from './harness.ts';

const KEY = Uint8Array.from({ length: 32 }, (_, index) => index);
const CONTEXT = { purpose: 'test', tenantId: 'acme' };

/** The token without AES-GCM, as older ones are. */
const withoutGcm = (): ReturnType<typeof bindingWith> =>
  bindingWith((cryptoki) => {
    const list = cryptoki.C_GetMechanismList.bind(cryptoki);
    cryptoki.C_GetMechanismList = (slot) => list(slot).filter((mechanism) => mechanism !== pkcs11js.CKM_AES_GCM);
  });

describeEachToken('a wrapping key', (token, tokenName) => {
  const open = (module?: ReturnType<typeof bindingWith>): KmsProvider => {
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    onTestFinished(() => provider.close());
    return provider;
  };

  it('binds a key to its context on a token without AES-GCM too', async () => {
    const provider = open(withoutGcm());
    const wrappingKey = await provider.createWrappingKey();
    for (const length of [1, 16, 32, 65]) {
      const key = KEY.slice(0, length);
      const wrapped = await provider.wrapKey(wrappingKey, key, CONTEXT);
      expect(await provider.unwrapKey(wrappingKey, wrapped, CONTEXT)).toEqual(Buffer.from(key));
      const changed = Uint8Array.from(wrapped, (byte, index) => (index === 20 ? byte ^ 1 : byte));
      const refused = await Promise.all(
        [
          provider.unwrapKey(wrappingKey, wrapped, { ...CONTEXT, tenantId: 'other' }),
          provider.unwrapKey(wrappingKey, changed, CONTEXT),
          provider.unwrapKey(wrappingKey, wrapped.slice(0, -8), CONTEXT),
          provider.unwrapKey(wrappingKey, wrapped.slice(0, -1), CONTEXT),
        ].map((call) => rejection(call)),
      );
      for (const error of refused) expect(error).toBeInstanceOf(EnvelopeError);
    }
  });

  it('that is found by its label is used if it cannot leave the token, and refused if it can', async () => {
    const provider = open();
    await provider.health();
    const bare = new BareToken(token());
    const make = (label: string, extractable: boolean): void =>
      bare.withSession((session) => {
        bare.cryptoki.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
          { type: pkcs11js.CKA_LABEL, value: label },
          { type: pkcs11js.CKA_TOKEN, value: true },
          { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
          { type: pkcs11js.CKA_ENCRYPT, value: true },
          { type: pkcs11js.CKA_DECRYPT, value: true },
          { type: pkcs11js.CKA_SENSITIVE, value: !extractable },
          { type: pkcs11js.CKA_EXTRACTABLE, value: extractable },
        ]);
      });
    make(`root of ${tokenName}`, false);
    make('can leave', true);
    const wrapped = await provider.wrapKey({ externalId: `root of ${tokenName}` }, KEY, CONTEXT);
    expect(await provider.unwrapKey({ externalId: `root of ${tokenName}` }, wrapped, CONTEXT)).toEqual(
      Buffer.from(KEY),
    );
    expect((await rejection(provider.wrapKey({ externalId: 'can leave' }, KEY, CONTEXT))).code).toBe(
      'ERR_KMS_KEY_NOT_USABLE',
    );
    expect((await rejection(provider.wrapKey({ externalId: 'nobody' }, KEY, CONTEXT))).code).toBe(
      'ERR_KMS_KEY_NOT_FOUND',
    );
    make(`root of ${tokenName}`, false);
    const other = open();
    expect((await rejection(other.wrapKey({ externalId: `root of ${tokenName}` }, KEY, CONTEXT))).code).toBe(
      'ERR_KMS_KEY_MISMATCH',
    );
  });

  it('is not among the signing keys', async () => {
    const provider = open();
    const { externalId } = await provider.createWrappingKey();
    expect((await provider.listKeys({ limit: 1_000 })).keys.map((key) => key.externalId)).not.toContain(externalId);
  });

  it('of a lost token does not make a good ciphertext a wrong one', async () => {
    let fail = false;
    const module = bindingWith((cryptoki) => {
      const failing = (): Promise<never> =>
        Promise.reject(new pkcs11js.Pkcs11Error('CKR_GENERAL_ERROR:5', 5, 'C_Decrypt'));
      for (const name of ['C_EncryptAsync', 'C_DecryptAsync'] as const) {
        const call = cryptoki[name].bind(cryptoki);
        cryptoki[name] = (...args) => (fail ? failing() : call(...args));
      }
      const finish = cryptoki.C_CloseSession.bind(cryptoki);
      cryptoki.C_CloseSession = (session) => finish(session);
    });
    const provider = open(module);
    const wrappingKey = await provider.createWrappingKey();
    const wrapped = await provider.wrapKey(wrappingKey, KEY, CONTEXT);
    fail = true;
    expect((await rejection(provider.unwrapKey(wrappingKey, wrapped, CONTEXT))).code).toBe('ERR_KMS_UNAVAILABLE');
    fail = false;
    expect(await provider.unwrapKey(wrappingKey, wrapped, CONTEXT)).toEqual(Buffer.from(KEY));
  });

  it('is not torn from its sessions by ciphertexts that are wrong', async () => {
    let opened = 0;
    const module = bindingWith((cryptoki) => {
      const openSession = cryptoki.C_OpenSession.bind(cryptoki);
      cryptoki.C_OpenSession = (...args) => {
        opened++;
        return openSession(...args);
      };
    });
    const provider = open(module);
    const wrappingKey = await provider.createWrappingKey();
    const wrapped = await provider.wrapKey(wrappingKey, KEY, CONTEXT);
    const other = { ...CONTEXT, tenantId: 'other' };
    for (let time = 0; time < 20; time++) await rejection(provider.unwrapKey(wrappingKey, wrapped, other));
    expect(opened).toBe(1);
  });
});

describeOnSoftHsm('AES-GCM', (token) => {
  it('is asked for in the other form of its parameters where a token refuses the first', async () => {
    const forms: number[] = [];
    const module = bindingWith((cryptoki) => {
      const info = cryptoki.C_GetTokenInfo.bind(cryptoki);
      cryptoki.C_GetTokenInfo = (slot) => ({ ...info(slot), manufacturerID: 'Unknown' });
      for (const name of ['C_EncryptInit', 'C_DecryptInit'] as const) {
        const call = cryptoki[name].bind(cryptoki);
        cryptoki[name] = (session, mechanism, key) => {
          const { type } = (mechanism as unknown as { parameter: { type: number } }).parameter;
          forms.push(type);
          if (type === pkcs11js.CK_PARAMS_AES_GCM_v240) {
            throw new pkcs11js.Pkcs11Error('CKR_MECHANISM_PARAM_INVALID:113', 113, name);
          }
          call(session, mechanism, key);
        };
      }
    });
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    onTestFinished(() => provider.close());
    const wrappingKey = await provider.createWrappingKey();
    const wrapped = await provider.wrapKey(wrappingKey, KEY, CONTEXT);
    expect(await provider.unwrapKey(wrappingKey, wrapped, CONTEXT)).toEqual(Buffer.from(KEY));
    expect(new Set(forms)).toEqual(new Set([pkcs11js.CK_PARAMS_AES_GCM_v240, pkcs11js.CK_PARAMS_AES_GCM]));
  });
});
