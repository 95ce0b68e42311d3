import { TestServerError } from './errors.ts';

/** Whether a missing server is an error: `KEYWRIGHT_REQUIRE` is `all` or a comma-separated list that names it. */
export function required(server: string): boolean {
  const names = (process.env.KEYWRIGHT_REQUIRE ?? '').split(',').map((name) => name.trim());
  return names.some((name) => name === 'all' || name === server);
}

/**
 * Passes on what a test needs of the machine. `undefined` means that it is missing and may be: skip the test, under a
 * title that names it.
 *
 * @param hint how to get it, for whoever has to
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` where it is missing and `KEYWRIGHT_REQUIRE` asks for it
 */
export function requireOrSkip<T>(name: string, found: T | undefined, hint: string): T | undefined {
  if (found !== undefined || !required(name)) return found;
  throw new TestServerError('ERR_TESTKIT_SERVER_REQUIRED', `KEYWRIGHT_REQUIRE asks for ${name}. ${hint}`);
}
