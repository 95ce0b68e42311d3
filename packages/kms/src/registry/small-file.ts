import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

// Without O_NONBLOCK opening a pipe waits for its writer, in a thread that nothing can call back.
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** What a file holds, or what is wrong with it. */
export type FileText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly received: string; readonly cause?: unknown };

/** Text of a regular file of at most `maxBytes`, whatever its size said before it was read. */
export async function readSmallFile(path: string, maxBytes: number): Promise<FileText> {
  try {
    const file = await open(path, FLAGS);
    try {
      return await read(file, maxBytes);
    } finally {
      await file.close();
    }
  } catch (cause) {
    return { ok: false, received: 'a file that cannot be read', cause };
  }
}

async function read(file: FileHandle, maxBytes: number): Promise<FileText> {
  if (!(await file.stat()).isFile()) return { ok: false, received: 'no regular file' };
  const bytes = Buffer.alloc(maxBytes + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  if (length > maxBytes) return { ok: false, received: 'a larger file' };
  return textOf(bytes.subarray(0, length));
}

function textOf(bytes: Buffer): FileText {
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { ok: false, received: 'a file that is no UTF-8' };
  }
}
