import { createPrivateKey } from 'node:crypto';
import { inspect } from 'node:util';
import type { PrivateJwk } from '../jwk.ts';

/** Everything that a log line, an error page or a debugger might show. */
export function shown(thing: unknown): string {
  const parts = [String(thing), inspect(thing, { depth: 20, showHidden: true }), JSON.stringify(thing) ?? ''];
  for (let error = thing; error instanceof Error; error = error.cause) parts.push(error.message, error.stack ?? '');
  return parts.join('\n');
}

/** However private members of a key may be written. */
export function privateForms(jwk: PrivateJwk): readonly string[] {
  const members = [jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].filter((member) => member !== undefined);
  const pkcs8 = createPrivateKey({ format: 'jwk', key: { ...jwk } }).export({ format: 'der', type: 'pkcs8' });
  return [...members.flatMap((member) => formsOf(Buffer.from(member, 'base64url'))), pkcs8.toString('base64')];
}

/** However a secret text may be written. */
export function textForms(text: string): readonly string[] {
  return [text, ...formsOf(Buffer.from(text))];
}

function formsOf(secret: Buffer): readonly string[] {
  const hex = secret.toString('hex');
  return [
    secret.toString('base64url'),
    secret.toString('base64').replace(/=+$/, ''),
    hex,
    hex.toUpperCase(),
    secret.toString('latin1'),
    secret.join(','),
    secret.join(', '),
  ];
}

/** What writings of private keys begin with: PEM, and the members of a JWK. */
export const PRIVATE_MARKERS: readonly RegExp[] = [/PRIVATE KEY-----/, /"(?:d|dp|dq|qi)"\s*:\s*"[\w-]{16,}"/];
