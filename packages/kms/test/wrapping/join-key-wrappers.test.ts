import { createKeyring, generateKeyBase64, type Keyring, type KeyWrapper } from '@keywright/envelope';
import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { joinKeyWrappers } from '@keywright/kms';
import { expect, it } from 'vitest';

const holder = (kid: string, key: string = generateKeyBase64()): Keyring =>
  createKeyring({ keys: { [kid]: key }, activeKid: kid });
const join = (holders: readonly KeyWrapper[], activeKid: string): KeyWrapper =>
  joinKeyWrappers({ holders: Object.fromEntries(holders.map((each) => [each.activeKid, each])), activeKid });

keyWrapperConformance('of several holders', async () => {
  const [a, b] = [holder('a'), holder('b')];
  return {
    wrapper: join([a, b], 'a'),
    otherKid: 'b',
    rotated: join([a, b], 'b'),
    narrower: join([b], 'b'),
    impostor: join([holder('a'), b], 'a'),
    dispose: async () => {},
  };
});

it('asks no holder for the key of another, also where it has one of that id', async () => {
  const [key, other] = [generateKeyBase64(), generateKeyBase64()];
  const both = createKeyring({ keys: { a: other, b: key }, activeKid: 'b' });
  const joined = joinKeyWrappers({ holders: { a: holder('a', key), b: both }, activeKid: 'b' });
  const wrapped = await both.wrapKey(Buffer.alloc(32, 1), { context: {} });
  expect(Buffer.from(await joined.unwrapKey(wrapped, { context: {} }))).toEqual(Buffer.alloc(32, 1));
  both.activate('a');
  const misnamed = await both.wrapKey(Buffer.alloc(32, 1), { context: {} });
  await expect(joined.unwrapKey(misnamed, { context: {} })).rejects.toMatchObject({ code: 'ERR_ENVELOPE_DECRYPT' });
});

it('does not give away what a holder wrapped under a key that is not looked for there', async () => {
  const keyring = createKeyring({ keys: { a: generateKeyBase64(), b: generateKeyBase64() }, activeKid: 'a' });
  const joined = joinKeyWrappers({ holders: { a: keyring }, activeKid: 'a' });
  keyring.activate('b');
  await expect(joined.wrapKey(Buffer.alloc(32, 1), { context: {} })).rejects.toMatchObject({
    code: 'ERR_KEYRING_KID_UNKNOWN',
  });
});

it('refuses holders that could not work', () => {
  const a = holder('a');
  const refused = (options: unknown, code: string): void => {
    expect(() => joinKeyWrappers(options as never)).toThrowError(expect.objectContaining({ code }));
  };
  refused(undefined, 'ERR_KMS_INVALID_ARGUMENT');
  refused({ holders: [a], activeKid: 'a' }, 'ERR_KMS_INVALID_ARGUMENT');
  refused({ holders: { a: null }, activeKid: 'a' }, 'ERR_KMS_INVALID_ARGUMENT');
  refused({ holders: { b: a }, activeKid: 'b' }, 'ERR_KMS_INVALID_ARGUMENT');
  refused({ holders: { a }, activeKid: 'b' }, 'ERR_KEYRING_KID_UNKNOWN');
  refused({ holders: { a } }, 'ERR_KEYRING_KID_UNKNOWN');
});
