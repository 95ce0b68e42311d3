import { rawCause } from '@keywright/envelope';
import { type KmsError, type KmsKey, type KmsProvider, verifySignature } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeEachToken } from '@keywright/testkit/hsm';
import pkcs11js, { type Handle, type PKCS11, type Template } from 'pkcs11js';
import { expect, it, onTestFinished } from 'vitest';
import { BareToken, bindingWith, optionsOn, rejection } from './harness.ts';

const DATA = Buffer.from('data');
const { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY } = pkcs11js;

describeEachToken('objects of a key', (token, tokenName) => {
  const onSoftHsm = tokenName === 'SoftHSM';
  const open = (module?: ReturnType<typeof bindingWith>): KmsProvider => {
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    onTestFinished(() => provider.close());
    return provider;
  };
  const create = (provider: KmsProvider): Promise<KmsKey> => provider.createKey({ tenantId: 'acme', keyId: 'k1' });
  const destroy = (bare: BareToken, key: KmsKey, keyClass: number): void =>
    bare.withSession((session) => {
      for (const object of bare.objects(session, key.externalId, keyClass)) {
        bare.cryptoki.C_DestroyObject(session, object);
      }
    });

  it('are named by id and label, and the private one can neither be read nor wrapped', async () => {
    const key = await create(open());
    const bare = new BareToken(token());
    bare.withSession((session) => {
      const [privateKey, ...others] = bare.objects(session, key.externalId, CKO_PRIVATE_KEY);
      const publicKeys = bare.objects(session, key.externalId, CKO_PUBLIC_KEY);
      expect(others).toEqual([]);
      expect(publicKeys.length).toBe(1);
      for (const object of [privateKey as Handle, publicKeys[0] as Handle]) {
        expect(bare.read(session, object, pkcs11js.CKA_LABEL).toString()).toBe(`keywright:${key.externalId}`);
      }
      const flag = (type: number): boolean => bare.read(session, privateKey as Handle, type)[0] === 1;
      expect([pkcs11js.CKA_SENSITIVE, pkcs11js.CKA_PRIVATE, pkcs11js.CKA_TOKEN, pkcs11js.CKA_SIGN].map(flag)).toEqual(
        Array(4).fill(true),
      );
      expect(flag(pkcs11js.CKA_EXTRACTABLE)).toBe(false);
      expect(() => bare.read(session, privateKey as Handle, pkcs11js.CKA_VALUE)).toThrow('CKR_ATTRIBUTE_SENSITIVE');
      // NSS, a library of software tokens, wraps what is marked as not extractable.
      if (!onSoftHsm) return;
      const wrapping = bare.cryptoki.C_GenerateKey(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
        { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
        { type: pkcs11js.CKA_WRAP, value: true },
      ]);
      const mechanism = { mechanism: pkcs11js.CKM_AES_KEY_WRAP_PAD };
      expect(() =>
        bare.cryptoki.C_WrapKey(session, mechanism, wrapping, privateKey as Handle, Buffer.alloc(512)),
      ).toThrow(/CKR_KEY_UNEXTRACTABLE|CKR_KEY_NOT_WRAPPABLE/);
    });
  });

  it('that were deleted behind our back are not found, after a new search', async () => {
    const provider = open();
    const key = await create(provider);
    await provider.sign(key, DATA);
    destroy(new BareToken(token()), key, CKO_PRIVATE_KEY);
    expect(await rejection(provider.sign(key, DATA))).toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
      retryable: false,
    });
    expect(await provider.health()).toMatchObject({ ok: true });
    await provider.deleteKey(key);
    expect((await provider.listKeys({ limit: 1_000 })).keys.map(({ name }) => name)).not.toContain(key.externalId);
  });

  it('of which one half is left are listed, and deleted', async () => {
    const provider = open();
    const key = await create(provider);
    const bare = new BareToken(token());
    destroy(bare, key, CKO_PUBLIC_KEY);
    const other = open();
    expect((await rejection(other.getPublicKey(key))).code).toBe('ERR_KMS_KEY_NOT_FOUND');
    expect((await other.listKeys({ limit: 1_000 })).keys.map(({ name }) => name)).toContain(key.externalId);
    await other.deleteKey(key);
    bare.withSession((session) => expect(bare.objects(session, key.externalId)).toEqual([]));
  });

  // NSS keeps one object of a class and an id.
  if (onSoftHsm) {
    it('of which there are two of one id sign nothing, and none is deleted', async () => {
      const provider = open();
      const key = await create(provider);
      const bare = new BareToken(token());
      bare.withSession((session) => generate(bare.cryptoki, session, key.externalId, `keywright:${key.externalId}`));
      const other = open();
      await expectRefusals(
        [other.sign(key, DATA), other.getPublicKey(key), other.deleteKey(key)],
        'ERR_KMS_KEY_MISMATCH',
      );
      bare.withSession((session) => expect(bare.objects(session, key.externalId).length).toBe(4));
    });
  }

  it('with our id and another label are not ours', async () => {
    const provider = open();
    const key = await create(provider);
    await provider.deleteKey(key);
    const bare = new BareToken(token());
    bare.withSession((session) => generate(bare.cryptoki, session, key.externalId, 'somebody’s'));
    await expectRefusals([provider.sign(key, DATA), provider.deleteKey(key)], 'ERR_KMS_KEY_MISMATCH');
    bare.withSession((session) => expect(bare.objects(session, key.externalId).length).toBe(2));
  });

  it('of a name that is taken are not made', async () => {
    const provider = open();
    const { externalId: name } = await create(provider);
    const again = provider.createKey({ tenantId: 'acme', keyId: 'k2', name });
    expect((await rejection(again)).code).toBe('ERR_KMS_KEY_EXISTS');
    const bare = new BareToken(token());
    bare.withSession((session) => expect(bare.objects(session, name).length).toBe(2));
  });

  it('are destroyed and refused if the token makes the private one readable', async () => {
    const made: Buffer[] = [];
    const module = bindingWith((cryptoki) => {
      const call = cryptoki.C_GenerateKeyPairAsync.bind(cryptoki);
      const readable = [
        { type: pkcs11js.CKA_SENSITIVE, value: false },
        { type: pkcs11js.CKA_EXTRACTABLE, value: true },
      ];
      cryptoki.C_GenerateKeyPairAsync = (session, mechanism, publicKey, privateKey) => {
        made.push(publicKey.find(({ type }) => type === pkcs11js.CKA_ID)?.value as Buffer);
        const kept = privateKey.filter(({ type }) => readable.every((one) => one.type !== type));
        return call(session, mechanism, publicKey, [...kept, ...readable]);
      };
    });
    expect((await rejection(create(open(module)))).code).toBe('ERR_KMS_UNSUPPORTED');
    const bare = new BareToken(token());
    expect(made.length).toBe(1);
    bare.withSession((session) => expect(bare.objects(session, (made[0] as Buffer).toString('hex'))).toEqual([]));
  });

  it('are tried both when they are deleted, and every failure is told', async () => {
    const tried: string[] = [];
    let refuse = true;
    const module = bindingWith((cryptoki) => {
      const call = cryptoki.C_DestroyObject.bind(cryptoki);
      cryptoki.C_DestroyObject = (session, object) => {
        tried.push(object.toString('hex'));
        if (refuse) throw new pkcs11js.Pkcs11Error('CKR_ACTION_PROHIBITED:27', 27, 'C_DestroyObject');
        call(session, object);
      };
    });
    const provider = open(module);
    const key = await create(provider);
    const error = await rejection(provider.deleteKey(key));
    expect(error).toMatchObject({ code: 'ERR_KMS_DENIED', retryable: false });
    const cause = rawCause(error as KmsError) as AggregateError;
    expect(cause.errors.map(({ message }) => message)).toEqual(['CKR_ACTION_PROHIBITED', 'CKR_ACTION_PROHIBITED']);
    expect(new Set(tried).size).toBe(2);
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    refuse = false;
    await provider.deleteKey(key);
    expect((await rejection(provider.sign(key, DATA))).code).toBe('ERR_KMS_KEY_NOT_FOUND');
  });

  it('cannot be made or deleted by a provider that only reads, which signs with them', async () => {
    const key = await create(open());
    const provider = pkcs11Provider(optionsOn(token(), { readOnly: true }));
    onTestFinished(() => provider.close());
    expect(verifySignature('ES256', key.publicJwk, DATA, await provider.sign(key, DATA))).toBe(true);
    await expectRefusals(
      [create(provider), provider.deleteKey(key), provider.createWrappingKey()],
      'ERR_KMS_UNSUPPORTED',
    );
  });
});

async function expectRefusals(calls: readonly Promise<unknown>[], code: string): Promise<void> {
  const errors = await Promise.all(calls.map((call) => rejection(call)));
  expect(errors.map((error) => error.code)).toEqual(calls.map(() => code));
}

function generate(cryptoki: PKCS11, session: Handle, externalId: string, label: string): void {
  const both: Template = [
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_ID, value: Buffer.from(externalId, 'hex') },
    { type: pkcs11js.CKA_LABEL, value: label },
  ];
  const curve = { type: pkcs11js.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') };
  const sign = { type: pkcs11js.CKA_SIGN, value: true };
  cryptoki.C_GenerateKeyPair(session, { mechanism: pkcs11js.CKM_EC_KEY_PAIR_GEN }, [...both, curve], [...both, sign]);
}
