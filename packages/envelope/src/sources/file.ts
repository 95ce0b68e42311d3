import type { Stats } from 'node:fs';
import { parseContent, tooLarge } from './content.ts';
import { checkOptions, checkText, configError, defineSource, kidOf } from './define.ts';
import { KeySourceError, type KeySourceErrorCode } from './errors.ts';
import { openFile, readText } from './small-file.ts';
import { type KeySource, MAX_SECRET_BYTES, type SecretOptions } from './source.ts';

const NAME = 'file';
const GROUP_AND_OTHERS = 0o077;
const GROUP_READ = 0o040;

export interface FileSourceOptions extends SecretOptions {
  /**
   * Accepts a file that its group may read, mode 0440 or 0640. Kubernetes makes a secret volume like that when the pod
   * has an `fsGroup`, which is how a user other than root reads it.
   * @default false
   */
  readonly allowGroupRead?: boolean | undefined;
}

/**
 * Keys from a file: one key, or JSON (see the README). The file must be a regular one of this user or root, closed to
 * group and others, of at most 64 KiB. Symbolic links are followed, since that is how Kubernetes mounts a secret; what
 * is checked is the very file that was opened. On Windows a mode means nothing and isn't looked at: protect the file by
 * its ACL.
 *
 * @param path where the file is
 * @throws KeySourceError at load: `ERR_KEY_SOURCE_FILE_PERMISSIONS`, `ERR_KEY_SOURCE_NOT_FOUND`,
 * `ERR_KEY_SOURCE_DENIED` (this process may not open it), `ERR_KEY_SOURCE_TOO_LARGE`,
 * `ERR_KEY_SOURCE_CONTENT_INVALID`, `ERR_KEY_SOURCE_CONFIG` (no regular file)
 *
 * @example
 * ```ts
 * import { mkdtempSync, writeFileSync } from 'node:fs';
 * import { tmpdir } from 'node:os';
 * import { join } from 'node:path';
 * import { generateKeyBase64 } from '@keywright/envelope';
 * import { fileSource, loadKeyring } from '@keywright/envelope/sources';
 *
 * const path = join(mkdtempSync(join(tmpdir(), 'keywright-')), 'key');
 * writeFileSync(path, generateKeyBase64(), { mode: 0o600 });
 * const keyring = await loadKeyring(fileSource(path));
 * keyring.activeKid; // 'v1'
 * ```
 */
export function fileSource(path: string, options: FileSourceOptions = {}): KeySource {
  checkText(NAME, 'path', path);
  const kid = kidOf(checkOptions(NAME, options));
  const forbidden = options.allowGroupRead === true ? GROUP_AND_OTHERS & ~GROUP_READ : GROUP_AND_OTHERS;
  return defineSource({
    name: NAME,
    timeoutMs: options.timeoutMs,
    classify,
    async read() {
      const file = await openFile(path);
      try {
        checkFile(await file.stat(), forbidden);
        const text = await readText(file);
        if (text === undefined) throw tooLarge(NAME);
        return parseContent(text, NAME, kid);
      } finally {
        await file.close();
      }
    },
  });
}

function checkFile(stats: Stats, forbidden: number): void {
  if (!stats.isFile()) throw configError(NAME, 'path', 'a regular file', 'something else');
  if (stats.size > MAX_SECRET_BYTES) throw tooLarge(NAME);
  const user = process.geteuid?.();
  if (user === undefined) return; // Windows
  if (stats.uid !== user && stats.uid !== 0) throw permissions('a file of this user or root', 'another owner');
  if ((stats.mode & forbidden) !== 0) {
    throw permissions('no access for others', `mode ${(stats.mode & 0o777).toString(8).padStart(4, '0')}`);
  }
}

function permissions(expected: string, received: string): KeySourceError {
  return new KeySourceError('ERR_KEY_SOURCE_FILE_PERMISSIONS', { context: { driver: NAME, expected, received } });
}

function classify(error: unknown): KeySourceErrorCode {
  const { code } = Object(error) as { code?: unknown };
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'ERR_KEY_SOURCE_NOT_FOUND';
  if (code === 'EACCES' || code === 'EPERM') return 'ERR_KEY_SOURCE_DENIED';
  if (
    code === 'ELOOP' ||
    code === 'EISDIR' ||
    code === 'ENXIO' ||
    code === 'ENAMETOOLONG' ||
    code === 'ERR_INVALID_ARG_VALUE'
  )
    return 'ERR_KEY_SOURCE_CONFIG';
  return 'ERR_KEY_SOURCE_UNREACHABLE';
}
