import { inspect } from 'node:util';
import { formatPkcs11Uri, KmsError, type Pkcs11Uri, parsePkcs11Uri } from '@keywright/kms';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

function refusal(act: () => unknown): KmsError {
  try {
    act();
  } catch (error) {
    if (error instanceof KmsError) return error;
    throw error;
  }
  throw new Error('It must be refused.');
}

describe('a PKCS #11 URI', () => {
  // RFC 7512, section 3.
  it.each<[string, object]>([
    ['pkcs11:', {}],
    ['pkcs11:object=my-pubkey;type=public', { object: 'my-pubkey', type: 'public' }],
    [
      'pkcs11:object=my-key;type=private?pin-source=file:/etc/token',
      { object: 'my-key', type: 'private', pinSource: 'file:/etc/token' },
    ],
    [
      'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin',
      {
        token: 'The Software PKCS#11 Softtoken',
        manufacturer: 'Snake Oil, Inc.',
        model: '1.0',
        object: 'my-certificate',
        type: 'cert',
        id: Uint8Array.of(0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91),
        serial: '',
        pinSource: 'file:/etc/token_pin',
      },
    ],
    [
      'pkcs11:object=my-sign-key;type=private?module-name=mypkcs11',
      { object: 'my-sign-key', type: 'private', moduleName: 'mypkcs11' },
    ],
    [
      'pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1',
      { object: 'my-sign-key', type: 'private', modulePath: '/mnt/libmypkcs11.so.1' },
    ],
    [
      'pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin',
      { token: 'Software PKCS#11 softtoken', manufacturer: 'Snake Oil, Inc.', pinValue: 'the-pin' },
    ],
    ['pkcs11:slot-description=Sun%20Metaslot', { slotDescription: 'Sun Metaslot' }],
    [
      'pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;library-version=1.23',
      { libraryManufacturer: 'Snake Oil, Inc.', libraryDescription: 'Soft Token Library', libraryVersion: '1.23' },
    ],
    ['pkcs11:slot-id=327', { slotId: 327 }],
    [
      'pkcs11:token=A%20name%20with%20a%20substring%20%25%3B;object=my-certificate;type=cert',
      { token: 'A name with a substring %;', object: 'my-certificate', type: 'cert' },
    ],
    [
      'pkcs11:token=Name%20with%20a%20small%20A%20with%20acute:%20%C3%A1',
      { token: 'Name with a small A with acute: á' },
    ],
    [
      'pkcs11:token=my-token;type=cert;vendor-aaa=value-a?pin-source=file:/etc/token_pin&vendor-bbb=value-b',
      {
        token: 'my-token',
        type: 'cert',
        pinSource: 'file:/etc/token_pin',
        vendor: { 'vendor-aaa': ['value-a'], 'vendor-bbb': ['value-b'] },
      },
    ],
    ['PKCS11:token=t?v=1&v=2', { token: 't', vendor: { v: ['1', '2'] } }],
  ])('is read as the RFC has it: %s', (text, expected) => {
    const { pinValue, ...rest } = expected as Pkcs11Uri;
    const parsed = parsePkcs11Uri(text);
    expect(parsed).toEqual(rest);
    expect(parsed.pinValue).toBe(pinValue);
    const again = parsePkcs11Uri(formatPkcs11Uri(parsed));
    expect(again).toEqual(rest);
    expect(again.pinValue).toBe(pinValue);
  });

  it.each([
    'pkcs12:token=a',
    'token=a',
    '',
    ' pkcs11:token=a',
    'pkcs11:token=a#fragment',
    'pkcs11://host/token=a',
    'pkcs11:token',
    'pkcs11:=a',
    'pkcs11:token=a;',
    'pkcs11:;token=a',
    'pkcs11:token=a;token=b',
    'pkcs11:token=a;slot-id=1;slot-id=1',
    'pkcs11:vendor=a;vendor=b',
    'pkcs11:token=a b',
    'pkcs11:token=ä',
    'pkcs11:token=%',
    'pkcs11:token=%4',
    'pkcs11:token=%zz',
    'pkcs11:token=%ff',
    'pkcs11:token=%ED%A0%80',
    'pkcs11:to%6ben=a',
    'pkcs11:type=key',
    'pkcs11:slot-id=',
    'pkcs11:slot-id=-1',
    'pkcs11:slot-id=0x10',
    'pkcs11:slot-id=99999999999999999999',
    'pkcs11:library-version=1.2.3',
    'pkcs11:pin-value=1234',
    'pkcs11:?token=a',
    'pkcs11:?pin-value=1&pin-value=2',
    'pkcs11:token=a?module-path=a?b#c',
    `pkcs11:token=${'a'.repeat(9_000)}`,
  ])('that is none is refused: %s', (text) => {
    expect(refusal(() => parsePkcs11Uri(text))).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  });

  it('shows its PIN in no error, and not with the rest of what was read', () => {
    const pin = 'canary-of-a-pin';
    for (const text of [
      `pkcs11:token=%zz?pin-value=${pin}`,
      `pkcs11:token=a?pin-value=${pin}%zz`,
      `pkcs11:pin-value=${pin}`,
      `pkcs11:token=a;${pin}?pin-value=${pin}`,
      `pkcs11:token=a?pin-value=${pin}&pin-value=${pin}`,
      `pkcs11:type=${pin}`,
      `pkcs11:slot-id=${pin}`,
      `pkcs11:${pin}=a;${pin}=b`,
      `pkcs11-${pin}`,
    ]) {
      const error = refusal(() => parsePkcs11Uri(text));
      expect(inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error)).not.toContain(pin);
    }
    const parsed = parsePkcs11Uri(`pkcs11:token=a?pin-value=${pin}`);
    expect(parsed.pinValue).toBe(pin);
    expect(inspect(parsed) + JSON.stringify(parsed) + JSON.stringify({ ...parsed })).not.toContain(pin);
    for (const uri of [{ token: `\ud800${pin}` }, { type: pin }, { slotId: pin }, { vendor: { token: [pin] } }]) {
      const error = refusal(() => formatPkcs11Uri(uri as never));
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(pin);
    }
  });

  it('comes back as it was written, whatever it holds', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => value.isWellFormed());
    const uri = fc.record(
      {
        token: text,
        manufacturer: text,
        serial: text,
        slotId: fc.nat(),
        object: text,
        type: fc.constantFrom('cert', 'data', 'private', 'public', 'secret-key'),
        id: fc.uint8Array({ maxLength: 32 }),
        modulePath: text,
        pinSource: text,
        pinValue: text,
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(uri, (given) => {
        const { pinValue, ...rest } = given as Pkcs11Uri;
        const parsed = parsePkcs11Uri(formatPkcs11Uri(given as Pkcs11Uri));
        expect(parsed).toEqual(rest);
        expect(parsed.pinValue).toBe(pinValue);
      }),
    );
  });
});
