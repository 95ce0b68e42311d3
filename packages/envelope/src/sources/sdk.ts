import { KeySourceError, type KeySourceErrorCode } from './errors.ts';

/**
 * Loads the SDK of a cloud, an optional peer dependency.
 * @param load `() => import('…')`, written out where it is called, so that bundlers see it
 * @throws KeySourceError `ERR_KEY_SOURCE_SDK_MISSING`, naming the package
 */
export async function loadSdk<T>(driver: string, packageName: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = Object(error) as { code?: unknown; message?: unknown };
    const notFound = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    // Not where the SDK is there and a dependency of its own is not: installing it again would not help.
    if (!notFound || !String(message).includes(packageName)) throw error;
    throw new KeySourceError('ERR_KEY_SOURCE_SDK_MISSING', {
      context: { driver, expected: packageName },
      cause: error,
    });
  }
}

const NETWORK =
  /^(?:E(?:CONN|NOTFOUND|AI_|HOST|NET|PIPE|TIMEDOUT|PROTO)|UND_|ERR_(?:TLS|SSL|SOCKET|STREAM)|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/** What a failed connection means; `undefined` for another kind of error. Looks through causes, AggregateErrors too. */
export function networkCode(error: unknown): KeySourceErrorCode | undefined {
  let current = error;
  for (let depth = 0; depth < 5 && typeof current === 'object' && current !== null; depth++) {
    const { code, cause, errors } = current as { code?: unknown; cause?: unknown; errors?: unknown };
    if (typeof code === 'string' && NETWORK.test(code)) return 'ERR_KEY_SOURCE_UNREACHABLE';
    current = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return undefined;
}

/** What an HTTP status means. */
export function statusCode(status: unknown): KeySourceErrorCode | undefined {
  if (typeof status !== 'number') return undefined;
  if (status === 401 || status === 403) return 'ERR_KEY_SOURCE_DENIED';
  if (status === 404) return 'ERR_KEY_SOURCE_NOT_FOUND';
  if (status === 408 || status === 429 || status >= 500) return 'ERR_KEY_SOURCE_UNREACHABLE';
  if (status >= 300 && status < 400) return 'ERR_KEY_SOURCE_REDIRECTED';
  return 'ERR_KEY_SOURCE_INVALID_RESPONSE';
}
