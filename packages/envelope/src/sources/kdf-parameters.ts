import { base64Decode } from '../internal/base64.ts';
import { describe } from '../keywright-error.ts';
import { configError } from './define.ts';
import type { KdfCosts } from './kdf.ts';

/** What a parameter string says. */
export interface KdfParameters {
  readonly costs: KdfCosts;
  readonly salt: Uint8Array;
  /** First 8 bytes of an HMAC of the derived key: tells a mistyped passphrase. */
  readonly check: Uint8Array | undefined;
}

export const CHECK_BYTES = 8;
const MIN_SALT_BYTES = 16;
const MAX_SALT_BYTES = 64;
const NAME = 'passphrase';

/** Least and most of every cost. The least are OWASP's, the most keep one derivation to 1 GiB and about a minute. */
const LIMITS = {
  argon2id: { m: [19_456, 1_048_576], t: [2, 16], p: [1, 16] },
  scrypt: { ln: [15, 20], r: [8, 8], p: [1, 16] },
  'pbkdf2-sha256': { i: [600_000, 10_000_000] },
} as const;

// OWASP's equals of N = 2^17, p = 1: half the memory asks for (at least) the double work.
const MIN_SCRYPT_WORK = 3 * 2 ** 15;

const FORM =
  /^\$(argon2id\$v=19|scrypt|pbkdf2-sha256)\$([a-z]+=\d{1,8}(?:,[a-z]+=\d{1,8})*)\$([A-Za-z0-9+/]+)(?:\$([A-Za-z0-9+/]+))?$/;

/**
 * Reads a parameter string in the PHC format, whose last, optional part is the check value and not the key.
 * @throws KeySourceError `ERR_KEY_SOURCE_CONFIG`
 */
export function parseKdfParameters(text: unknown): KdfParameters {
  const match = typeof text === 'string' && text.length <= 512 ? FORM.exec(text) : null;
  if (match === null) {
    throw configError(
      NAME,
      'parameters',
      'a string such as $argon2id$v=19$m=65536,t=3,p=4$<salt>$<check>',
      describe(text),
    );
  }
  const [, prefix = '', costs = '', saltText = '', checkText] = match;
  const salt = decodeUnpadded(saltText);
  if (salt === undefined || salt.length < MIN_SALT_BYTES || salt.length > MAX_SALT_BYTES) {
    throw configError(NAME, 'parameters', `a salt of ${MIN_SALT_BYTES} to ${MAX_SALT_BYTES} bytes`, describe(salt));
  }
  const check = checkText === undefined ? undefined : decodeUnpadded(checkText);
  if (checkText !== undefined && check?.length !== CHECK_BYTES) {
    // A PHC string of a password has the hash itself here: with these parameters, the key.
    throw configError(NAME, 'parameters', `a check value of ${CHECK_BYTES} bytes`, describe(check));
  }
  return { costs: checkCosts(prefix.split('$')[0] as KdfCosts['algorithm'], costs), salt, check };
}

/** The string that {@link parseKdfParameters} reads. */
export function formatKdfParameters({ costs, salt, check }: KdfParameters): string {
  const values =
    costs.algorithm === 'argon2id'
      ? `argon2id$v=19$m=${costs.memoryKib},t=${costs.passes},p=${costs.parallelism}`
      : costs.algorithm === 'scrypt'
        ? `scrypt$ln=${costs.logN},r=${costs.blockSize},p=${costs.parallelism}`
        : `pbkdf2-sha256$i=${costs.iterations}`;
  return `$${[values, salt, check]
    .map((part) => (part instanceof Uint8Array ? encodeUnpadded(part) : part))
    .filter((part) => part !== undefined)
    .join('$')}`;
}

function checkCosts(algorithm: KdfCosts['algorithm'], text: string): KdfCosts {
  const limits: Readonly<Record<string, readonly [number, number]>> = LIMITS[algorithm];
  const given = new Map(text.split(',').map((pair) => pair.split('=') as [string, string]));
  const names = Object.keys(limits);
  if (text.split(',').length !== names.length || !names.every((name) => given.has(name))) {
    throw configError(NAME, 'parameters', `the costs ${names.join(', ')}`, 'others');
  }
  const cost = (name: string): number => {
    const value = Number(given.get(name));
    const [least, most] = limits[name] as readonly [number, number];
    if (value >= least && value <= most) return value;
    throw configError(NAME, `parameters: ${name}`, `from ${least} to ${most}`, String(value));
  };
  switch (algorithm) {
    case 'argon2id':
      return { algorithm, memoryKib: cost('m'), passes: cost('t'), parallelism: cost('p') };
    case 'scrypt': {
      const costs = { algorithm, logN: cost('ln'), blockSize: cost('r'), parallelism: cost('p') } as const;
      if (2 ** costs.logN * costs.parallelism >= MIN_SCRYPT_WORK) return costs;
      throw configError(NAME, 'parameters: p', '3 with ln=15, 2 with ln=16', String(costs.parallelism));
    }
    case 'pbkdf2-sha256':
      return { algorithm, iterations: cost('i') };
  }
}

function decodeUnpadded(text: string): Buffer | undefined {
  return base64Decode(text.padEnd(Math.ceil(text.length / 4) * 4, '='));
}

function encodeUnpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}
