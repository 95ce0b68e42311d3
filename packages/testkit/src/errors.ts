/** `UNREACHABLE`: given by address, no answer. `START_FAILED`: was to be started here. `REQUIRED`: may not be missing. */
export type TestServerErrorCode =
  | 'ERR_TESTKIT_SERVER_UNREACHABLE'
  | 'ERR_TESTKIT_SERVER_START_FAILED'
  | 'ERR_TESTKIT_SERVER_REQUIRED';

/** A server that a test needs is missing. The first line of the message is the reason, the rest its evidence. */
export class TestServerError extends Error {
  override readonly name = 'TestServerError';
  readonly code: TestServerErrorCode;

  constructor(code: TestServerErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** One line that says why something was thrown. */
export function reasonOf(error: unknown): string {
  const { message, code } = Object(error) as { message?: unknown; code?: unknown };
  // A refused connection to several addresses is an AggregateError, which has a code and no message.
  const text = typeof message === 'string' && message !== '' ? message : String(code ?? error);
  return text.split('\n', 1)[0] as string;
}
