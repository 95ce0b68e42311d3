import type { Keyring } from '@keywright/envelope';
import { kidBytes } from '../internal/keyed-mac.ts';
import { canonicalHead, hmacPads, rowKey } from './canonical.ts';
import type { NewAuditRow } from './row.ts';

/**
 * What SQL makes the MACs of several rows with, given each row's tail: `kid ‖ sha256(outer ‖ sha256(inner ‖ head ‖ tail))`
 * with the two pads of the row's key.
 */
export interface SqlMacs {
  readonly kid: Buffer;
  /** Outer pad, inner pad and canonical head of each row, one after the other. */
  readonly inputs: Buffer;
  /** Where those of each row start, from 1 as SQL counts. */
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
}

/** Lends SQL the keys of some rows: see docs/decisions/0012-audit-mac-in-sql.md for what they are good for. */
export function sqlMacs(auditKey: Keyring, rows: readonly Omit<NewAuditRow, 'mac'>[]): SqlMacs {
  const parts: Buffer[] = [];
  const starts: number[] = [];
  const lengths: number[] = [];
  let length = 0;
  for (const row of rows) {
    const { inner, outer } = hmacPads(rowKey(auditKey, row.tenant_id, row.id).mac);
    const head = canonicalHead(row);
    parts.push(outer, inner, head);
    starts.push(length + 1);
    lengths.push(outer.length + inner.length + head.length);
    length += outer.length + inner.length + head.length;
  }
  return { kid: kidBytes(auditKey.activeKid), inputs: Buffer.concat(parts, length), starts, lengths };
}
