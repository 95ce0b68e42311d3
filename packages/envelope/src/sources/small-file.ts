import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { MAX_SECRET_BYTES } from './source.ts';

// Without O_NONBLOCK opening a pipe waits for its writer, in a thread that nothing can call back.
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** A system's whole bundle of authorities is a quarter of it. */
const MAX_BUNDLE_BYTES = 2 ** 20;

/** Opens a file to read, and waits for nobody. */
export function openFile(path: string): Promise<FileHandle> {
  return open(path, FLAGS);
}

/**
 * The text of an opened file, `undefined` if it is longer than any secret. At most one byte more than that is read,
 * whatever the file said its size was: it may grow meanwhile.
 */
export async function readText(file: FileHandle): Promise<string | undefined> {
  const buffer = Buffer.alloc(MAX_SECRET_BYTES + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  const text = length > MAX_SECRET_BYTES ? undefined : buffer.toString('utf8', 0, length);
  buffer.fill(0);
  return text;
}

/** The text of a token's file, which must be a regular one of a token's size. */
export async function readTokenFile(path: string): Promise<string> {
  const file = await openFile(path);
  try {
    const text = (await file.stat()).isFile() ? await readText(file) : undefined;
    if (text === undefined) throw new Error('no regular file of this size');
    return text;
  } finally {
    await file.close();
  }
}

/** The text of a file of certificates, at start-up. */
export function readBundle(path: string): string {
  const file = openSync(path, FLAGS);
  try {
    const stats = fstatSync(file);
    if (!stats.isFile() || stats.size > MAX_BUNDLE_BYTES) throw new Error('no regular file of this size');
    return readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
}
