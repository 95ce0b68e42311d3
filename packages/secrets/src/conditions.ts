import { checkVersion, invalidArgument } from './arguments.ts';

/** A change that is made only if the secret is as the caller has read it. */
export interface Conditional {
  /**
   * Compare-and-set: refuse unless this is the current version. Of any number of callers that expect the same version,
   * one wins.
   * @default whatever it is
   */
  readonly expectedVersion?: number | undefined;
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkExpected(version: number | undefined): number | undefined {
  return version === undefined ? undefined : checkVersion(version, 'expectedVersion');
}

/** As {@link checkExpected}, with 0 for a secret that must not exist. */
export function checkExpectedOrNone(version: number | undefined): number | undefined {
  if (version === 0) return 0;
  if (typeof version === 'number' && version < 0) {
    throw invalidArgument('expectedVersion', 'a version, or 0 for none', 'a negative number');
  }
  return checkExpected(version);
}
