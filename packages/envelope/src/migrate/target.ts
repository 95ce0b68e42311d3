import type { StoredForm } from '../columns/column-codec.ts';

/**
 * What is to leave the column.
 * - `{ plaintext: true }`: values from before the column was encrypted.
 * - `{ version: 1 }`: version 1 envelopes, which are bound to nothing.
 * - `{ kid }`: envelopes of any version under a key that is to be retired.
 */
export type Target = { readonly plaintext: true } | { readonly version: 1 } | { readonly kid: string };

/** Whether a stored value is of the kind that is to go. */
export function isTarget(target: Target, form: StoredForm): boolean {
  if ('plaintext' in target) return form.state === 'plaintext';
  if (form.state !== 'encrypted') return false;
  return 'version' in target ? form.version === 1 : form.kid === target.kid;
}

/** The target in a few characters, the same for the same target. */
export function targetName(target: Target): string {
  if ('plaintext' in target) return 'plaintext';
  return 'version' in target ? 'v1' : `kid ${target.kid}`;
}
