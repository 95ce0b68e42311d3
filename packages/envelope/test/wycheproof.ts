import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { requireOrSkip } from '@keywright/testkit';

export interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly key?: string;
  readonly iv?: string;
  readonly aad?: string;
  readonly msg?: string;
  readonly ct?: string;
  readonly tag?: string;
  readonly ikm?: string;
  readonly salt?: string;
  readonly info?: string;
  readonly size?: number;
  readonly okm?: string;
}

export interface Group {
  readonly keySize: number;
  readonly ivSize?: number;
  readonly tagSize?: number;
  readonly tests: readonly Vector[];
}

const folder = process.env.KEYWRIGHT_VECTORS
  ? pathToFileURL(`${process.env.KEYWRIGHT_VECTORS}/`)
  : new URL('../../../../shared/vectors/wycheproof/', import.meta.url);

/** The folder of Project Wycheproof's vectors (github.com/C2SP/wycheproof, Apache-2.0), which the repository does not hold. */
export const wycheproof: URL | undefined = requireOrSkip(
  'wycheproof',
  existsSync(new URL('aes_gcm_test.json', folder)) ? folder : undefined,
  'Set KEYWRIGHT_VECTORS to the folder testvectors_v1 of github.com/C2SP/wycheproof.',
);

/** The groups of one file. */
export function readGroups(name: string): readonly Group[] {
  const file = new URL(`${name}_test.json`, wycheproof);
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly testGroups: readonly Group[] }).testGroups;
}

export function unhex(text = ''): Buffer {
  return Buffer.from(text, 'hex');
}
