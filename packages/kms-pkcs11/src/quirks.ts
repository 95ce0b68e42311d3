import { PARAMS } from './constants.ts';
import type { Token } from './token.ts';

/** Where tokens differ, beyond what can be seen from their answers. */
export interface Quirks {
  /** C structures of AES-GCM parameters to try, in this order: PKCS #11 changed it under one name. */
  readonly gcmParameters: readonly number[];
  /** Values of CKA_EC_PARAMS for Ed25519 to try, in this order. */
  readonly edwardsParameters: readonly Buffer[];
  /** Whether it is software that computes in this process: more calls at once than processors delay the event loop. */
  readonly computesHere: boolean;
}

/** `edwards25519` as PrintableString (PKCS #11 3.0), and the curve's OID (RFC 8410), which tokens took up later. */
const EDWARDS_NAME = Buffer.from('130c656477617264733235353139', 'hex');
const EDWARDS_OID = Buffer.from('06032b6570', 'hex');

const USUAL: Quirks = Object.freeze({
  gcmParameters: [PARAMS.AES_GCM_V240, PARAMS.AES_GCM_SHORT],
  edwardsParameters: [EDWARDS_NAME, EDWARDS_OID],
  computesHere: false,
});

interface Row {
  readonly manufacturer: RegExp;
  readonly quirks: Partial<Quirks>;
}

/** By the token's manufacturer. A token without a row is tried both ways, which costs it a refused call. */
const ROWS: readonly Row[] = [
  { manufacturer: /^SoftHSM project$/, quirks: { edwardsParameters: [EDWARDS_NAME], computesHere: true } },
  // Knows the structure with the IV's length in bits only, and has no Ed25519.
  { manufacturer: /^Mozilla Foundation$/, quirks: { gcmParameters: [PARAMS.AES_GCM_V240], computesHere: true } },
];

export function quirksOf(token: Pick<Token, 'manufacturer'>): Quirks {
  const row = ROWS.find(({ manufacturer }) => manufacturer.test(token.manufacturer));
  return { ...USUAL, ...row?.quirks };
}
