import { invalidArgument, kindOf } from '../arguments.ts';
import type { ChangeSource, Start } from './source.ts';

// A snapshot names every transaction that was in progress, and there may be thousands.
const MAX_CURSOR = 262_144;

export function cursorOf<Position>(source: ChangeSource<Position>, position: Position): string {
  return Buffer.from(source.encode(position)).toString('base64url');
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function startOf<Position>(source: ChangeSource<Position>, from: unknown): Start<Position> {
  if (from === undefined || from === 'now') return 'now';
  if (from === 'oldest') return 'oldest';
  const expected = "'now', 'oldest' or the cursor of a watch on this kind of database";
  if (typeof from !== 'string') throw invalidArgument('from', expected, kindOf(from));
  const position = from.length > MAX_CURSOR ? undefined : decoded(source, Buffer.from(from, 'base64url').toString());
  if (position === undefined) throw invalidArgument('from', expected, 'another string');
  return position;
}

function decoded<Position>(source: ChangeSource<Position>, text: string): Position | undefined {
  try {
    return source.decode(text);
  } catch {
    return undefined;
  }
}
