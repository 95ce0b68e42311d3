import type { JsonWebKey } from 'node:crypto';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import type { BackendKeyPage } from '../../provider.ts';

const NAME = /^[0-9a-f]{32}$/;
const BASE64URL = /^[A-Za-z0-9_-]{1,2048}$/;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
const MAX_CURSOR = 1_024;

/**
 * `{ publicJwk }`. A service that sends a private member has published the key: it is refused, so that somebody looks,
 * and its answer is kept nowhere.
 */
export function publicJwkIn(answer: JsonAnswer): JsonWebKey {
  const { publicJwk } = membersOf(answer);
  if (typeof publicJwk !== 'object' || publicJwk === null) throw invalidResponse(answer, '{ publicJwk }');
  if (PRIVATE_MEMBERS.some((member) => member in publicJwk)) {
    throw invalidResponse(answer, 'publicJwk without private members: the key has been published');
  }
  return publicJwk as JsonWebKey;
}

/** `{ signature }`, base64url without padding. Its length is checked by the caller. */
export function signatureIn(answer: JsonAnswer): Uint8Array {
  const { signature } = membersOf(answer);
  if (typeof signature === 'string' && BASE64URL.test(signature)) return Buffer.from(signature, 'base64url');
  throw invalidResponse(answer, '{ signature } in base64url without padding');
}

/** `{ keys: [{ kid }], next? }`. Names that are not of our making belong to other users of the service. */
export function pageIn(answer: JsonAnswer, cursor: string | undefined): BackendKeyPage {
  const { keys, next } = membersOf(answer);
  const expected = '{ keys: [{ kid }], next }, next being another than before';
  if (!Array.isArray(keys)) throw invalidResponse(answer, expected);
  const names = keys.map((key) => (Object(key) as { kid?: unknown }).kid);
  if (!names.every((name) => typeof name === 'string')) throw invalidResponse(answer, expected);
  const isNext = typeof next === 'string' && next !== '' && next.length <= MAX_CURSOR && next !== cursor;
  if (next !== undefined && next !== null && !isNext) throw invalidResponse(answer, expected);
  return {
    keys: names.filter((name) => NAME.test(name)).map((name) => ({ externalId: name, name })),
    cursor: isNext ? next : undefined,
  };
}

/** `{ ok: true }`. */
export function expectOk(answer: JsonAnswer): void {
  if (membersOf(answer).ok === true) return;
  throw new KmsError('ERR_KMS_UNAVAILABLE', { context: { status: answer.status, expected: '{ ok: true }' } });
}

export function invalidResponse({ status }: JsonAnswer, expected: string): KmsError {
  return new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { status, expected } });
}

function membersOf(answer: JsonAnswer): Record<string, unknown> {
  const { json } = answer;
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>;
  throw invalidResponse(answer, 'a JSON object');
}
