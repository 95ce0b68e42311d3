import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { derToRaw, type EcdsaAlg, rawToDer } from '@keywright/kms';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EcdsaVector, readGroups, wycheproof } from './wycheproof.ts';

/** Orders as FIPS 186-4, D.1.2 prints them. */
const ORDERS: Readonly<Record<EcdsaAlg, bigint>> = {
  ES256: 115792089210356248762697446949407573529996955224135760342422259061068512044369n,
  ES384:
    39402006196394479212279040100143613805079739270465446667946905279627659399113263569398956308152294913554433653942643n,
  ES512:
    6864797660130609714981900799081393217269435300143305409394463459185543183397655394245057746333217197532963996371363321113864768612440380340372808892707005449n,
};
const CURVES: readonly { alg: EcdsaAlg; curve: string; hash: string; file: string; size: number }[] = [
  { alg: 'ES256', curve: 'P-256', hash: 'sha256', file: 'ecdsa_secp256r1_sha256', size: 32 },
  { alg: 'ES384', curve: 'P-384', hash: 'sha384', file: 'ecdsa_secp384r1_sha384', size: 48 },
  { alg: 'ES512', curve: 'P-521', hash: 'sha512', file: 'ecdsa_secp521r1_sha512', size: 66 },
];
const MALFORMED = expect.objectContaining({ code: 'ERR_KMS_SIGNATURE_MALFORMED' });

/** Flags of vectors whose form is wrong, so that no key is needed to refuse them. */
const FORM: ReadonlySet<string> = new Set([
  'BerEncodedSignature',
  'InvalidEncoding',
  'InvalidTypesInSignature',
  'MissingZero',
  'RangeCheck',
  'SignatureSize',
]);

type Verdict = 'accepted' | 'refused by the converter' | 'refused by verification';

describe.skipIf(wycheproof === undefined)('Wycheproof (needs its vectors)', () => {
  for (const { alg, hash, file, size } of CURVES) {
    const forms = {
      der: {
        name: file,
        dsaEncoding: 'ieee-p1363',
        convert: (signature: Buffer) => derToRaw(alg, signature),
        back: (raw: Uint8Array) => rawToDer(alg, raw),
      },
      p1363: {
        name: `${file}_p1363`,
        dsaEncoding: 'der',
        convert: (signature: Buffer) => rawToDer(alg, signature),
        back: (der: Uint8Array) => derToRaw(alg, der),
      },
    } as const;

    it.each(['der', 'p1363'] as const)(`${alg} from %s: valid ones verify in the other form, others do not`, (form) => {
      const { name, dsaEncoding, convert, back } = forms[form];
      const verdictOf = (publicKey: KeyObject, { msg, sig }: EcdsaVector): Verdict => {
        const signature = Buffer.from(sig, 'hex');
        let converted: Uint8Array;
        try {
          converted = convert(signature);
        } catch (error) {
          expect(error).toEqual(MALFORMED);
          return 'refused by the converter';
        }
        expect(Buffer.from(back(converted)).toString('hex')).toBe(sig);
        const key = { key: publicKey, dsaEncoding };
        return verify(hash, Buffer.from(msg, 'hex'), key, converted) ? 'accepted' : 'refused by verification';
      };
      let valid = 0;
      const refused = { converter: 0, verification: 0 };
      for (const { publicKeyPem, tests } of readGroups(name)) {
        const publicKey = createPublicKey(publicKeyPem);
        for (const vector of tests) {
          const verdict = verdictOf(publicKey, vector);
          const label = `${vector.tcId} ${vector.comment} (${vector.flags})`;
          if (vector.result === 'valid') {
            expect(verdict, label).toBe('accepted');
            valid++;
          } else {
            expect(verdict, label).not.toBe('accepted');
            if (vector.flags.some((flag) => FORM.has(flag))) expect(verdict, label).toBe('refused by the converter');
            refused[verdict === 'refused by the converter' ? 'converter' : 'verification']++;
          }
        }
      }
      expect(valid).toBeGreaterThan(150);
      expect(refused.converter).toBeGreaterThan(form === 'der' ? 200 : 25);
      // Of the right form, and of another message or key.
      expect(refused.verification).toBeGreaterThan(0);
    });

    it(`${alg}: refuses what has not its length in raw form`, () => {
      for (const length of [0, 1, 2 * size - 1, 2 * size + 1, 4 * size]) {
        expect(() => rawToDer(alg, new Uint8Array(length).fill(1))).toThrow(MALFORMED);
      }
    });
  }
});

describe.each(CURVES)('$alg', ({ alg, curve, hash, size }) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const integer = fc
    .uint8Array({ minLength: 1, maxLength: size })
    .filter((bytes) => bytes.some((byte) => byte !== 0))
    .map((bytes) => {
      const coordinate = Buffer.alloc(size);
      coordinate.set(bytes, size - bytes.length);
      // below the order of every curve
      coordinate[0] = 0;
      if (coordinate.every((byte) => byte === 0)) coordinate[size - 1] = 1;
      return coordinate;
    });

  it('takes integers up to the order of the curve less 1, in both forms', () => {
    const coordinate = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(2 * size, '0'), 'hex');
    const derOf = (...values: readonly bigint[]): Buffer => {
      const body = values.map((value) => {
        const hex = value.toString(16).replace(/^(?=(?:..)*.$)/, '0');
        const content = Buffer.from(hex.replace(/^(?=[89a-f])/, '00'), 'hex');
        return Buffer.concat([Buffer.of(2, content.length), content]);
      });
      const { length } = Buffer.concat(body);
      return Buffer.concat([Buffer.from(length < 0x80 ? [0x30, length] : [0x30, 0x81, length]), ...body]);
    };
    const order = ORDERS[alg];
    for (const [value, fits] of [
      [0n, false],
      [1n, true],
      [order - 1n, true],
      [order, false],
      [order + 1n, false],
    ] as const) {
      for (const [r, s] of [
        [value, 1n],
        [1n, value],
      ] as const) {
        const [raw, der] = [Buffer.concat([coordinate(r), coordinate(s)]), derOf(r, s)];
        if (fits) {
          expect(Buffer.from(rawToDer(alg, raw))).toEqual(der);
          expect(Buffer.from(derToRaw(alg, der))).toEqual(raw);
        } else {
          expect(() => rawToDer(alg, raw)).toThrow(MALFORMED);
          expect(() => derToRaw(alg, der)).toThrow(MALFORMED);
        }
      }
    }
  });

  it('goes there and back for any pair of integers', () => {
    fc.assert(
      fc.property(integer, integer, (r, s) => {
        const raw = Buffer.concat([r, s]);
        const der = rawToDer(alg, raw);
        expect(Buffer.from(derToRaw(alg, der))).toEqual(raw);
        expect(Buffer.from(rawToDer(alg, derToRaw(alg, der)))).toEqual(Buffer.from(der));
      }),
    );
  });

  it('signatures of OpenSSL verify in the other form, both ways', () => {
    for (let index = 0; index < 20; index++) {
      const data = Buffer.from(`message ${index}`);
      const der = sign(hash, data, privateKey);
      const raw = sign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      expect(verify(hash, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, derToRaw(alg, der))).toBe(true);
      expect(verify(hash, data, publicKey, rawToDer(alg, raw))).toBe(true);
      expect(Buffer.from(rawToDer(alg, derToRaw(alg, der)))).toEqual(der);
    }
  });

  it('takes any bytes for a signature or for malformed, never for another error', () => {
    const der = sign(hash, Buffer.from('x'), privateKey);
    const mutated = fc
      .tuple(fc.nat(der.length - 1), fc.nat(255), fc.nat(3))
      .map(([at, byte, cut]) => Buffer.concat([der.subarray(0, at), Buffer.of(byte), der.subarray(at + cut)]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        try {
          expect(Buffer.from(rawToDer(alg, derToRaw(alg, bytes)))).toEqual(Buffer.from(bytes));
        } catch (error) {
          expect(error).toEqual(MALFORMED);
        }
      }),
      { numRuns: 500 },
    );
  });
});

it('refuses other arguments', () => {
  const invalid = expect.objectContaining({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  for (const alg of ['EdDSA', 'RS256', 'toString', undefined]) {
    expect(() => derToRaw(alg as EcdsaAlg, Buffer.of(0x30))).toThrow(invalid);
    expect(() => rawToDer(alg as EcdsaAlg, Buffer.alloc(64))).toThrow(invalid);
  }
  for (const bytes of ['30', undefined, [0x30], new ArrayBuffer(2)]) {
    expect(() => derToRaw('ES256', bytes as never)).toThrow(invalid);
    expect(() => rawToDer('ES256', bytes as never)).toThrow(invalid);
  }
});
