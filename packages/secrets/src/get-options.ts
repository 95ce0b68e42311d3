import { checkVersion, invalidArgument, kindOf, readOptions } from './arguments.ts';
import type { SecretLocator } from './locator.ts';

/** Options of `tenant.get`. */
export interface GetOptions {
  /** An older version. @default the current one */
  readonly version?: number | undefined;
  /**
   * Ends the wait with `ERR_SECRETS_ABORTED`. A read that is under way by then is audited as one.
   * @default none
   */
  readonly signal?: AbortSignal | undefined;
}

const MAX_MANY = 1_000;

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readGetOptions(options: GetOptions | undefined): GetOptions {
  return readOptions(options, 'options', ({ version, signal }) => {
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
    }
    return { version: version === undefined ? undefined : checkVersion(version), signal };
  });
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readLocators(secrets: readonly SecretLocator[]): readonly SecretLocator[] {
  const expected = `an array of at most ${MAX_MANY} names or ids`;
  if (!Array.isArray(secrets)) throw invalidArgument('secrets', expected, kindOf(secrets));
  if (secrets.length > MAX_MANY) throw invalidArgument('secrets', expected, `an array of ${secrets.length}`);
  return [...(secrets as readonly SecretLocator[])];
}
