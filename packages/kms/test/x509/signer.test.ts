import 'reflect-metadata';
import { execFile } from 'node:child_process';
import { X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import { promisify } from 'node:util';
import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import {
  dbProvider,
  KmsError,
  type KmsKey,
  type KmsProvider,
  migrateKmsTables,
  SIGN_ALGS,
  type SignAlg,
} from '@keywright/kms';
import { createCsr, distinguishedName, type KmsSigner, kmsSigner } from '@keywright/kms/x509';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
} from '@peculiar/x509';
import createKnex from 'knex';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOfEach } from '../support/software-keys.ts';
import { openssl } from './openssl.ts';

const knex = createKnex({ client: 'better-sqlite3', connection: { filename: ':memory:' }, useNullAsDefault: true });
let provider: KmsProvider;
let made: ReadonlyMap<SignAlg, KmsKey>;

beforeAll(async () => {
  const root = createKeyring({ keys: { v1: generateKeyBase64() }, activeKid: 'v1' });
  await migrateKmsTables({ knex });
  provider = dbProvider({ id: 'db', knex, root });
  made = await keyOfEach(provider, 'acme');
});
afterAll(async () => {
  await provider.close();
  await knex.destroy();
});

const keyOf = (alg: SignAlg): KmsKey => made.get(alg) as KmsKey;
const pem = (certificate: { toString(format: 'pem'): string }): string => certificate.toString('pem');
const CA = [
  new BasicConstraintsExtension(true, 0, true),
  new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
];

async function selfSigned({ keys, crypto }: KmsSigner, name = 'root'): Promise<X509Certificate> {
  return await X509CertificateGenerator.createSelfSigned(
    { name: distinguishedName({ CN: name }), keys, extensions: CA },
    crypto,
  );
}

/** How OpenSSL calls an algorithm. */
const SIGNATURE: Readonly<Record<SignAlg, RegExp>> = {
  ES256: /ecdsa-with-SHA256/,
  ES384: /ecdsa-with-SHA384/,
  ES512: /ecdsa-with-SHA512/,
  EdDSA: /ED25519/,
  RS256: /sha256WithRSAEncryption/,
  RS384: /sha384WithRSAEncryption/,
  RS512: /sha512WithRSAEncryption/,
  PS256: /rsassaPss\s.*sha256\s.*mgf1 with sha256\s.*Salt Length: 0x20/s,
  PS384: /rsassaPss\s.*sha384\s.*mgf1 with sha384\s.*Salt Length: 0x30/s,
  PS512: /rsassaPss\s.*sha512\s.*mgf1 with sha512\s.*Salt Length: 0x40/s,
};

describe.each(SIGN_ALGS)('%s', (alg) => {
  it('signs a root, and with it a certificate of another key, that OpenSSL and node:crypto verify', async () => {
    const ca = await kmsSigner(provider, keyOf(alg));
    const root = await selfSigned(ca);
    const leafSigner = await kmsSigner(provider, keyOf(alg === 'ES256' ? 'EdDSA' : 'ES256'));
    const leaf = await X509CertificateGenerator.create(
      {
        subject: distinguishedName({ CN: 'leaf' }),
        issuer: root.subjectName,
        publicKey: leafSigner.publicKey,
        signingKey: ca.signingKey,
        extensions: [
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          await AuthorityKeyIdentifierExtension.create(ca.publicKey, false, ca.crypto),
        ],
      },
      ca.crypto,
    );
    const files = { root: pem(root), leaf: pem(leaf) };
    expect(await openssl(['verify', '-CAfile', '@root', '@root'], files)).toContain('root: OK');
    expect(await openssl(['verify', '-CAfile', '@root', '@leaf'], files)).toContain('leaf: OK');
    expect(await openssl(['x509', '-in', '@leaf', '-noout', '-text'], files)).toMatch(SIGNATURE[alg]);
    const [nodeRoot, nodeLeaf] = [new NodeCertificate(pem(root)), new NodeCertificate(pem(leaf))];
    expect(nodeRoot.publicKey.export({ format: 'jwk' })).toEqual(keyOf(alg).publicJwk);
    expect(nodeLeaf.verify(nodeRoot.publicKey)).toBe(true);
    expect(nodeLeaf.verify(nodeLeaf.publicKey)).toBe(false);
  });

  it('requests a certificate in a form that OpenSSL verifies', async () => {
    const csr = await createCsr(provider, keyOf(alg), {
      name: { C: 'DE', O: 'Acme, Inc.', CN: 'invoices' },
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'acme.example' }])],
    });
    const files = { csr: pem(csr) };
    const text = await openssl(['req', '-in', '@csr', '-verify', '-noout', '-text', '-nameopt', 'RFC2253'], files);
    expect(text).toMatch(/verify OK/i);
    expect(text).toContain('CN=invoices,O=Acme\\, Inc.,C=DE');
    expect(text).toContain('DNS:acme.example');
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature\n/);
    expect(text).toMatch(SIGNATURE[alg]);
  });
});

describe('a signer', () => {
  it('is one of its own: many at once don’t mix, and the library’s crypto is never touched', async () => {
    const before = [
      cryptoProvider.get(),
      [...cryptoProvider.keys()],
      globalThis.crypto,
      webcrypto.subtle.sign,
    ] as const;
    const signers = await Promise.all(SIGN_ALGS.map((alg) => kmsSigner(provider, keyOf(alg))));
    const work = Array.from({ length: 40 }, async (_, index) => {
      const signer = signers[index % signers.length] as KmsSigner;
      return new NodeCertificate(pem(await selfSigned(signer, `root ${index}`)));
    });
    for (const [index, certificate] of (await Promise.all(work)).entries()) {
      const own = keyOf(SIGN_ALGS[index % SIGN_ALGS.length] as SignAlg);
      expect(certificate.subject).toBe(`CN=root ${index}`);
      expect(certificate.publicKey.export({ format: 'jwk' })).toEqual(own.publicJwk);
      expect(certificate.verify(certificate.publicKey)).toBe(true);
    }
    expect([cryptoProvider.get(), [...cryptoProvider.keys()], globalThis.crypto, webcrypto.subtle.sign]).toEqual(
      before,
    );
    expect(cryptoProvider.get()).toBe(before[0]);
    expect(webcrypto.subtle.sign).toBe(before[3]);
  });

  it('signs with its own key only, and by that key’s algorithm only', async () => {
    const [signer, other] = [await kmsSigner(provider, keyOf('ES256')), await kmsSigner(provider, keyOf('ES384'))];
    const refused = { code: 'ERR_KMS_INVALID_ARGUMENT' };
    const mixed = X509CertificateGenerator.createSelfSigned({ name: 'CN=x', keys: other.keys }, signer.crypto);
    await expect(mixed).rejects.toMatchObject(refused);
    const certificate = X509CertificateGenerator.createSelfSigned(
      { name: 'CN=x', keys: signer.keys, signingAlgorithm: { name: 'ECDSA', hash: 'SHA-512' } as never },
      signer.crypto,
    );
    // The key's own hash stands in for the other.
    expect(pem(await certificate)).not.toBe('');
    expect(await openssl(['x509', '-in', '@c', '-noout', '-text'], { c: pem(await certificate) })).toMatch(
      SIGNATURE.ES256,
    );
    const { subtle } = signer.crypto as typeof webcrypto;
    for (const algorithm of ['ECDSA', { name: 'ECDSA', hash: 'SHA-384' }, { name: 'RSA-PSS' }, undefined]) {
      await expect(subtle.sign(algorithm as never, signer.signingKey, Buffer.of(1))).rejects.toMatchObject(refused);
    }
    await expect(subtle.exportKey('pkcs8', signer.signingKey)).rejects.toThrow();
    expect(JSON.stringify(signer.signingKey)).not.toMatch(/"d"/);
  });

  it('signs with the key that it was made for, also where the caller changes its object later', async () => {
    const key = { ...(await provider.createKey({ tenantId: 'acme', keyId: 'own' })) };
    const signer = await kmsSigner(provider, key);
    Object.assign(key, keyOf('ES256'));
    const certificate = new NodeCertificate(pem(await selfSigned(signer)));
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });

  it('lets keys of the runtime sign through its crypto, and makes serial numbers of 128 random bits', async () => {
    const { crypto } = await kmsSigner(provider, keyOf('ES256'));
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    const local = await webcrypto.subtle.generateKey(algorithm, false, ['sign', 'verify']);
    const serials = new Set<string>();
    for (let index = 0; index < 10; index++) {
      const certificate = await X509CertificateGenerator.createSelfSigned({ name: 'CN=x', keys: local }, crypto);
      expect(await certificate.verify({}, crypto)).toBe(true);
      serials.add(certificate.serialNumber);
    }
    expect(serials.size).toBe(10);
    expect(Math.max(...[...serials].map((serial) => serial.length))).toBe(32);
  });

  it('signs revocation lists', async () => {
    const signer = await kmsSigner(provider, keyOf('ES384'));
    const root = await selfSigned(signer);
    const crl = await X509CrlGenerator.create(
      {
        issuer: root.subjectName,
        signingKey: signer.signingKey,
        signingAlgorithm: signer.signingAlgorithm,
        entries: [{ serialNumber: '07', reason: X509CrlReason.keyCompromise }],
      },
      signer.crypto,
    );
    const body = crl.toString('base64').replace(/.{64}/g, '$&\n');
    const files = { root: pem(root), crl: `-----BEGIN X509 CRL-----\n${body}\n-----END X509 CRL-----\n` };
    expect(await openssl(['crl', '-in', '@crl', '-CAfile', '@root', '-noout'], files)).toContain('verify OK');
  });

  it('is not made for a key that the backend holds another public key of, and passes on what the provider refuses', async () => {
    const key = {
      ...keyOf('ES256'),
      publicJwk: (await provider.createKey({ tenantId: 'acme', keyId: 'k2' })).publicJwk,
    };
    await expect(kmsSigner(provider, key)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_MISMATCH' });
    const odd = { ...key, publicJwk: 'x' as never };
    await expect(kmsSigner(provider, odd)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_MISMATCH' });
    await expect(kmsSigner(provider, { ...key, publicJwk: null as never })).resolves.toBeDefined();
    await expect(kmsSigner(provider, undefined as never)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    const foreign = { ...keyOf('ES256'), providerId: 'other' };
    await expect(kmsSigner(provider, foreign)).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    const busy: Pick<KmsProvider, 'sign' | 'getPublicKey'> = {
      getPublicKey: (asked) => provider.getPublicKey(asked),
      sign: () => Promise.reject(new KmsError('ERR_KMS_THROTTLED')),
    };
    const throttled = createCsr(busy, keyOf('ES256'), { name: { CN: 'x' } });
    await expect(throttled).rejects.toMatchObject({ code: 'ERR_KMS_THROTTLED' });
    const gone = await provider.createKey({ tenantId: 'acme', keyId: 'gone' });
    const signer = await kmsSigner(provider, gone);
    await provider.deleteKey(gone);
    await expect(selfSigned(signer)).rejects.toMatchObject({ code: 'ERR_KMS_KEY_NOT_FOUND' });
    await expect(createCsr(provider, gone, { name: { CN: 'x' } })).rejects.toMatchObject({
      code: 'ERR_KMS_KEY_NOT_FOUND',
    });
  });
});

describe('a name', () => {
  it.each([
    'Acme, O=Evil Corp',
    'Acme+CN=admin',
    '#0c0441',
    '"quoted"',
    'back\\slash \\0a',
    ' spaces ',
    'Ä, 日本, 🦓',
    'a=b;c<d>e',
  ])('holds %s as one value', async (text) => {
    const { crypto, keys } = await kmsSigner(provider, keyOf('ES256'));
    const name = distinguishedName({ O: text, CN: [text, 'second'] });
    const certificate = await X509CertificateGenerator.createSelfSigned({ name, keys }, crypto);
    const lines = await openssl(['x509', '-in', '@c', '-noout', '-subject', '-nameopt', 'utf8,sep_multiline,lname'], {
      c: pem(certificate),
    });
    expect(
      lines
        .split('\n')
        .slice(1)
        .filter((line) => line !== '')
        .map((line) => line.slice(4)),
    ).toEqual([`organizationName=${text}`, `commonName=${text}`, 'commonName=second']);
  });

  it.each([
    [{}, 'name'],
    [undefined, 'name'],
    ['CN=x', 'name'],
    [[{ CN: 'x' }], 'name'],
    [{ CN: '' }, 'name.CN'],
    [{ CN: 'x'.repeat(65) }, 'name.CN'],
    [{ CN: 'a\0b' }, 'name.CN'],
    [{ CN: 'a\nb' }, 'name.CN'],
    [{ CN: '\ud800' }, 'name.CN'],
    [{ CN: 7 }, 'name.CN'],
    [{ CN: ['x', null] }, 'name.CN'],
    [{ C: 'Germany' }, 'name.C'],
    [{ C: 'de' }, 'name.C'],
    [{ DC: 'ü' }, 'name.DC'],
    [{ serialNumber: 'a_b' }, 'name.serialNumber'],
    [{ '2.5.4.3': 'x' }, 'name'],
    [{ toString: 'x' }, 'name'],
  ])('is not made of %j', async (name, argument) => {
    const refused = { code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } };
    await expect(createCsr(provider, keyOf('ES256'), { name: name as never })).rejects.toMatchObject(refused);
  });
});

it('a request asks for no usage that the key is not for, and for the one that is given', async () => {
  const request = (flags: KeyUsageFlags) =>
    createCsr(provider, keyOf('ES256'), { name: { CN: 'x' }, extensions: [new KeyUsagesExtension(flags, true)] });
  const text = await openssl(['req', '-in', '@csr', '-noout', '-text'], {
    csr: pem(await request(KeyUsageFlags.keyCertSign)),
  });
  expect(text).toContain('Certificate Sign');
  expect(text).not.toContain('Digital Signature');
  for (const flags of [KeyUsageFlags.keyEncipherment, KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement]) {
    await expect(request(flags)).rejects.toMatchObject({ context: { argument: 'extensions' } });
  }
  for (const extensions of ['x', [{}], [null]]) {
    const bad = createCsr(provider, keyOf('ES256'), { name: { CN: 'x' }, extensions: extensions as never });
    await expect(bad).rejects.toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
  }
});

it('brings the polyfill that @peculiar/x509 needs', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', "import { kmsSigner } from '@keywright/kms/x509'; console.log(typeof kmsSigner)"],
    { cwd: import.meta.dirname },
  );
  expect(stdout).toBe('function\n');
});
