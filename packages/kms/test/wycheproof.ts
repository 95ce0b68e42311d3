import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { requireOrSkip } from '@keywright/testkit';

export interface EcdsaVector {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly msg: string;
  readonly sig: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

export interface EcdsaGroup {
  readonly publicKeyPem: string;
  readonly tests: readonly EcdsaVector[];
}

const folder = process.env.KEYWRIGHT_VECTORS
  ? pathToFileURL(`${process.env.KEYWRIGHT_VECTORS}/`)
  : new URL('../../../../shared/vectors/wycheproof/', import.meta.url);

/** The folder of Project Wycheproof's vectors (github.com/C2SP/wycheproof, Apache-2.0), which the repository does not hold. */
export const wycheproof: URL | undefined = requireOrSkip(
  'wycheproof',
  existsSync(new URL('ecdsa_secp256r1_sha256_test.json', folder)) ? folder : undefined,
  'Set KEYWRIGHT_VECTORS to the folder testvectors_v1 of github.com/C2SP/wycheproof.',
);

/** The groups of one file. */
export function readGroups(name: string): readonly EcdsaGroup[] {
  const file = new URL(`${name}_test.json`, wycheproof);
  return (JSON.parse(readFileSync(file, 'utf8')) as { readonly testGroups: readonly EcdsaGroup[] }).testGroups;
}
