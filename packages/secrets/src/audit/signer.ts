import { createPrivateKey, createPublicKey, generateKeyPairSync, KeyObject, sign } from 'node:crypto';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import { checkKeyName, verifierKeyOf } from './note.ts';

/**
 * Signs checkpoints of the audit log with Ed25519. A KMS plugs in here: the private key need not be in this process, nor
 * should it be anywhere that whoever can edit the database can reach.
 */
export interface AuditSigner {
  /** Name of the key and of the log: no spaces, no "+", by convention a URL without its scheme. Do not reuse it. */
  readonly name: string;
  /** The raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /**
   * The Ed25519 signature (RFC 8032) of exactly these bytes, 64 bytes.
   * @param options.signal the signature is waited for no longer
   */
  sign(message: Uint8Array, options: { readonly signal: AbortSignal }): Promise<Uint8Array>;
}

export interface Ed25519SignerOptions {
  readonly name: string;
  /** PKCS#8 PEM, the 32 bytes of the seed, or a KeyObject. */
  readonly privateKey: string | Uint8Array | KeyObject;
}

/** A new signing key. */
export interface GeneratedAuditSigner {
  readonly signer: AuditSigner;
  /** PKCS#8 PEM: a secret, for `createEd25519Signer` in the next process. */
  readonly privateKey: string;
  /** What an auditor needs, and may be public. */
  readonly verifierKey: string;
}

// What stands before an Ed25519 seed in PKCS#8 (RFC 8410, section 7).
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;

/**
 * A signer whose key is in this process.
 *
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createEd25519Signer, verifierKey } from '@keywright/secrets/audit';
 *
 * const signer = createEd25519Signer({ name: 'example.com/audit', privateKey: process.env.AUDIT_KEY ?? '' });
 * console.log(verifierKey(signer)); // for the auditor
 * ```
 */
export function createEd25519Signer(options: Ed25519SignerOptions): AuditSigner {
  const { name, key } = readOptions(options, 'options', (given) => ({
    name: checkKeyName(given.name, 'name'),
    key: importKey(given.privateKey),
  }));
  const publicKey = rawPublicKey(key);
  return Object.freeze({ name, publicKey, sign: async (message: Uint8Array) => sign(null, message, key) });
}

/** Makes a signing key. @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function generateAuditSigner(name: string): GeneratedAuditSigner {
  checkKeyName(name, 'name');
  const { privateKey } = generateKeyPairSync('ed25519');
  const signer = createEd25519Signer({ name, privateKey });
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
  return Object.freeze({ signer, privateKey: pem, verifierKey: verifierKey(signer) });
}

/** What an auditor configures to check this signer's checkpoints; it holds no secret. */
export function verifierKey(signer: Pick<AuditSigner, 'name' | 'publicKey'>): string {
  return verifierKeyOf(signer.name, signer.publicKey);
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkSigner(signer: AuditSigner | undefined, argument: string): AuditSigner {
  if (typeof signer !== 'object' || signer === null || typeof signer.sign !== 'function') {
    throw invalidArgument(argument, 'an AuditSigner', kindOf(signer));
  }
  checkKeyName(signer.name, `${argument}.name`);
  const { publicKey } = signer as { publicKey: unknown };
  if (publicKey instanceof Uint8Array && publicKey.byteLength === PUBLIC_KEY_BYTES) return signer;
  throw invalidArgument(`${argument}.publicKey`, 'an Ed25519 public key of 32 bytes', kindOf(publicKey));
}

function importKey(given: unknown): KeyObject {
  const expected = 'an Ed25519 private key: PKCS#8 PEM, 32 bytes or a KeyObject';
  try {
    const key = given instanceof KeyObject ? given : createPrivateKey(keyInput(given));
    if (key.type === 'private' && key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // OpenSSL's message could quote the key
  }
  throw invalidArgument('privateKey', expected, kindOf(given));
}

function keyInput(given: unknown): Parameters<typeof createPrivateKey>[0] {
  if (!(given instanceof Uint8Array)) return given as string;
  if (given.byteLength !== SEED_BYTES) throw new RangeError('A seed has 32 bytes.');
  return { key: Buffer.concat([PKCS8_PREFIX, given]), format: 'der', type: 'pkcs8' };
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x ?? '', 'base64url'));
}
