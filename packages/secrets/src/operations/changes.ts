import { requireFree } from './deletion.ts';
import type { Scope } from './scope.ts';
import type { Update } from './update.ts';
import { mergedPlaintext, readPlaintext } from './values.ts';

/** @param patch JSON text of a merge patch (RFC 7396) */
export function merging(scope: Scope, patch: string): Update['input'] {
  return async (trx, row) => {
    const current = await readPlaintext(scope, trx, row, row.current_version);
    try {
      return { kind: 'merge', plaintext: mergedPlaintext(scope, row, current, patch) };
    } finally {
      current.fill(0);
    }
  };
}

/** @param version whose value the new one gets */
export function rollingBack(scope: Scope, version: number): Update['input'] {
  return async (trx, row) => ({ kind: 'rollback', plaintext: await readPlaintext(scope, trx, row, version) });
}

export function renaming(scope: Scope, name: string): Update['input'] {
  return async (trx, row) => {
    await requireFree(scope, trx, name, row);
    return { kind: 'rename', name };
  };
}
