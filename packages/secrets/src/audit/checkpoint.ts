import { decodeBase64, type NoteKey, openNote } from './note.ts';
import { HASH_BYTES } from './tree/merkle.ts';

/** A signed statement of the whole log up to some leaf: who holds it can check everything before. */
export interface AuditCheckpoint {
  /** The log's name, which is that of its signer. */
  readonly origin: string;
  /** Leaves of the tree: the checkpoint is about those before this index. */
  readonly treeSize: number;
  /** Root of the tree, as base64. */
  readonly rootHash: string;
  /** The signed note (C2SP tlog-checkpoint): text to keep where nobody who can edit the database can reach it. */
  readonly note: string;
}

/** A checkpoint whose signature is good, or why it is not one. */
export type OpenedCheckpoint =
  | { readonly valid: true; readonly checkpoint: AuditCheckpoint; readonly root: Buffer }
  | { readonly valid: false; readonly reason: 'malformed' | 'unknown-key' | 'signature' };

const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** What is signed. */
export function checkpointText(origin: string, treeSize: number, root: Uint8Array): string {
  return `${origin}\n${treeSize}\n${Buffer.from(root).toString('base64')}\n`;
}

/** Reads a checkpoint that one of these keys has signed as the log of its own name. */
export function openCheckpoint(note: string, keys: readonly NoteKey[]): OpenedCheckpoint {
  const opened = openNote(note, keys);
  if (!opened.valid) return opened;
  const [origin = '', size = '', rootHash = '', ...extensions] = opened.text.slice(0, -1).split('\n');
  const root = decodeBase64(rootHash);
  const treeSize = Number(size);
  const wellFormed =
    SIZE.test(size) &&
    Number.isSafeInteger(treeSize) &&
    root?.byteLength === HASH_BYTES &&
    extensions.every((line) => line !== '');
  if (!wellFormed || root === undefined) return { valid: false, reason: 'malformed' };
  if (!opened.keys.some(({ name }) => name === origin)) return { valid: false, reason: 'unknown-key' };
  return { valid: true, checkpoint: { origin, treeSize, rootHash, note }, root };
}
