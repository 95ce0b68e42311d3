import { lstat, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { KmsError } from '../errors.ts';
import { readSmallFile } from './small-file.ts';
import { parseStrictJson } from './strict-json.ts';

const MAX_BYTES = 256 * 1024;
const NAME = 'kms.json';

/** Where the configuration is: a file that must be there, or a folder that may hold it. */
export type ConfigPlace = { readonly file: string } | { readonly folder: string };

/**
 * What the configuration file holds; `undefined` if the folder has none. That is the only case that counts as none: a
 * file that is there and cannot be read, a link that leads nowhere and a folder that is missing are refused.
 *
 * @throws KmsError `ERR_KMS_CONFIG_UNREADABLE`, `ERR_KMS_CONFIG` for a name that occurs twice
 */
export async function readConfigFile(place: ConfigPlace): Promise<unknown> {
  const path = 'file' in place ? place.file : join(place.folder, NAME);
  const read = await readSmallFile(path, MAX_BYTES);
  if (read.ok) return parseStrictJson(read.text);
  if ('folder' in place && (await isAbsent(place.folder, path))) return undefined;
  throw new KmsError('ERR_KMS_CONFIG_UNREADABLE', {
    context: { expected: `a regular file of at most ${MAX_BYTES} bytes of UTF-8`, received: read.received },
    cause: read.cause,
  });
}

async function isAbsent(folder: string, path: string): Promise<boolean> {
  return (await errorCode(lstat(path))) === 'ENOENT' && (await errorCode(stat(folder))) === undefined;
}

async function errorCode(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? '';
  }
}
