import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { kmsKeyWrapper } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { tokenKinds } from '@keywright/testkit/hsm';
import pkcs11js from 'pkcs11js';
import { rootInKmsTests } from '../../kms/test/support/root-in-kms.ts';
import { BareToken, optionsOn } from './harness.ts';

const USES = [pkcs11js.CKA_ENCRYPT, pkcs11js.CKA_DECRYPT, pkcs11js.CKA_WRAP, pkcs11js.CKA_UNWRAP] as const;

for (const { name, start } of tokenKinds()) {
  rootInKmsTests(name, {
    async start() {
      const token = await start();
      const provider = pkcs11Provider(optionsOn(token));
      const keys = [await provider.createWrappingKey(), await provider.createWrappingKey()] as const;
      return {
        provider,
        keys,
        unreachable: () => pkcs11Provider(optionsOn(token, { slot: 'no such token' })),
        secrets: [token.pin],
        async forbid() {
          const allow = (allowed: readonly boolean[]): void =>
            setUses(new BareToken(token), keys[0].externalId, allowed);
          const before = usesOf(new BareToken(token), keys[0].externalId);
          allow(before.map(() => false));
          return async () => allow(before);
        },
        async dispose() {
          await provider.close();
          await token.stop();
        },
      };
    },
  });

  keyWrapperConformance(`pkcs11 on ${name}`, async () => {
    const token = await start();
    const provider = pkcs11Provider(optionsOn(token));
    const [a, b, c] = [
      await provider.createWrappingKey(),
      await provider.createWrappingKey(),
      await provider.createWrappingKey(),
    ];
    return {
      wrapper: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'a' }),
      otherKid: 'b',
      rotated: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'b' }),
      narrower: kmsKeyWrapper({ provider, keys: { b }, activeKid: 'b' }),
      impostor: kmsKeyWrapper({ provider, keys: { a: c }, activeKid: 'a' }),
      secrets: [token.pin],
      async dispose() {
        await provider.close();
        await token.stop();
      },
    };
  });
}

/** What a key may be used for, as its token has it. */
function usesOf(token: BareToken, externalId: string): readonly boolean[] {
  return token.withSession((session) => {
    const [object] = token.objects(session, externalId);
    return USES.map((type) => token.read(session, object as never, type)[0] === 1);
  });
}

function setUses(token: BareToken, externalId: string, allowed: readonly boolean[]): void {
  token.withSession((session) => {
    const [object] = token.objects(session, externalId);
    const template = USES.map((type, index) => ({ type, value: allowed[index] === true }));
    token.cryptoki.C_SetAttributeValue(session, object as never, template);
  });
}
