import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto';
import { invalidArgument, kindOf } from '../arguments.ts';

/** A key that signed notes are checked with: C2SP signed-note, Ed25519. */
export interface NoteKey {
  readonly name: string;
  /** First four bytes of the key's hash, as hex. */
  readonly id: string;
  readonly publicKey: KeyObject;
}

/** What a note says, and which of the known keys have signed it; else why it is not to be looked at. */
export type OpenedNote =
  | { readonly valid: true; readonly text: string; readonly keys: readonly NoteKey[] }
  | { readonly valid: false; readonly reason: 'malformed' | 'unknown-key' | 'signature' };

const ED25519 = 1;
const KEY_BYTES = 32;
const ID_BYTES = 4;
const SIGNATURE_BYTES = 64;
const MAX_SIGNATURES = 100;
const MAX_NOTE_LENGTH = 1_000_000;
const KEY_NAME = /^[^\s\u0085+\p{Cc}]{1,255}$/u;
const SIGNATURE_LINE = /^\u2014 ([^\s\u0085+]+) ([A-Za-z0-9+/]+={0,2})$/u;
// Control characters of ASCII, but for the newline.
const CONTROL = /[^\P{Cc}\n\u007f-\u009f]/u;

/** A key's name: no spaces, no plus sign, by convention a URL without its scheme. */
export function checkKeyName(name: unknown, argument: string): string {
  if (typeof name === 'string' && KEY_NAME.test(name) && name.isWellFormed()) return name;
  const received = typeof name === 'string' ? `string of length ${name.length}` : kindOf(name);
  throw invalidArgument(argument, '1 to 255 characters without spaces and "+", such as example.com/audit', received);
}

/** The text that others configure to check signatures of this key: `name+id+base64(01 ‖ public key)`. */
export function verifierKeyOf(name: string, publicKey: Uint8Array): string {
  return `${name}+${keyId(name, publicKey).toString('hex')}+${typed(publicKey).toString('base64')}`;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function parseVerifierKey(text: unknown, argument: string): NoteKey {
  const refuse = (): Error => invalidArgument(argument, 'a verifier key: name+id+base64', kindOf(text));
  if (typeof text !== 'string') throw refuse();
  const [name = '', id = '', ...rest] = text.split('+');
  const data = decodeBase64(rest.join('+'));
  if (data?.byteLength !== 1 + KEY_BYTES || data[0] !== ED25519) throw refuse();
  const key = data.subarray(1);
  if (keyId(checkKeyName(name, argument), key).toString('hex') !== id) throw refuse();
  return { name, id, publicKey: publicKeyOf(key) };
}

/** A raw Ed25519 key for `node:crypto`. */
export function publicKeyOf(raw: Uint8Array): KeyObject {
  const x = Buffer.from(raw).toString('base64url');
  return createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } });
}

/** A note: the text, which ends with a newline, and one signature of it. */
export function noteOf(text: string, name: string, publicKey: Uint8Array, signature: Uint8Array): string {
  const signed = Buffer.concat([keyId(name, publicKey), signature]);
  return `${text}\n\u2014 ${name} ${signed.toString('base64')}\n`;
}

/** Checks a note by the keys that are trusted. Signatures of other keys count for nothing. */
export function openNote(note: string, keys: readonly NoteKey[]): OpenedNote {
  const parsed = parseNote(note);
  if (parsed === undefined) return { valid: false, reason: 'malformed' };
  const message = Buffer.from(parsed.text);
  const signers: NoteKey[] = [];
  for (const { name, signed } of parsed.signatures) {
    const id = signed.subarray(0, ID_BYTES).toString('hex');
    const key = keys.find((known) => known.name === name && known.id === id);
    if (key === undefined) continue;
    const signature = signed.subarray(ID_BYTES);
    // One bad signature of a known key spoils the note.
    if (signature.byteLength !== SIGNATURE_BYTES || !verify(null, message, key.publicKey, signature)) {
      return { valid: false, reason: 'signature' };
    }
    signers.push(key);
  }
  return signers.length === 0
    ? { valid: false, reason: 'unknown-key' }
    : { valid: true, text: parsed.text, keys: signers };
}

interface ParsedNote {
  readonly text: string;
  readonly signatures: readonly { readonly name: string; readonly signed: Buffer }[];
}

function parseNote(note: string): ParsedNote | undefined {
  if (typeof note !== 'string' || note.length > MAX_NOTE_LENGTH) return undefined;
  if (!note.isWellFormed() || CONTROL.test(note) || !note.endsWith('\n')) return undefined;
  const end = note.lastIndexOf('\n\n');
  if (end < 0) return undefined;
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return undefined;
  const signatures: { name: string; signed: Buffer }[] = [];
  for (const line of lines) {
    const [, name, base64 = ''] = SIGNATURE_LINE.exec(line) ?? [];
    const signed = decodeBase64(base64);
    if (name === undefined || signed === undefined || signed.byteLength <= ID_BYTES) return undefined;
    signatures.push({ name, signed });
  }
  return { text: note.slice(0, end + 1), signatures };
}

/** Canonical base64, or `undefined`. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function keyId(name: string, publicKey: Uint8Array): Buffer {
  const data = Buffer.concat([Buffer.from(`${name}\n`), typed(publicKey)]);
  return hash('sha256', data, 'buffer').subarray(0, ID_BYTES);
}

function typed(publicKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(ED25519), publicKey]);
}
