import type { Keyring } from '@keywright/envelope';
import { packMac, unpackMac } from './internal/keyed-mac.ts';

const PURPOSE = 'secrets.binding';

/** The facts of a secret that decide what a read returns, and that no ciphertext covers. */
export interface BoundFacts {
  readonly tenantId: string;
  readonly id: string;
  readonly name: string;
  readonly currentVersion: number;
  /** Milliseconds since 1970, or null. */
  readonly expiresAt: number | null;
  readonly isDeleted: boolean;
}

/**
 * MAC over a secret's pointers under its tenant's key. Without it, whoever can edit the table could rename one secret
 * into another, bring back an old version or revive a deleted secret, and every ciphertext would still open.
 */
export function makeBinding(kek: Keyring, facts: BoundFacts): Buffer {
  return packMac(kek.mac(PURPOSE, parts(facts)));
}

/** The tenant key that a binding was made with, or `undefined` for bytes that are no binding. */
export function bindingKekId(binding: Uint8Array): string | undefined {
  return unpackMac(binding)?.kid;
}

/** `kek` must be the key that {@link bindingKekId} names. */
export function bindingMatches(kek: Keyring, binding: Uint8Array, facts: BoundFacts): boolean {
  const keyed = unpackMac(binding);
  return keyed !== undefined && kek.verifyMac(PURPOSE, parts(facts), keyed);
}

function parts(facts: BoundFacts): readonly string[] {
  return [
    facts.tenantId,
    facts.id,
    facts.name,
    String(facts.currentVersion),
    facts.expiresAt === null ? '' : String(facts.expiresAt),
    facts.isDeleted ? '1' : '0',
  ];
}
