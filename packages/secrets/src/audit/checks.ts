import { invalidArgument, kindOf } from '../arguments.ts';
import { SecretsError } from '../errors.ts';

/** A caller's progress callback; what it throws is not taken for something of the database's. */
export function checkCallback(callback: unknown): ((rows: number) => void) | undefined {
  if (callback === undefined) return undefined;
  if (typeof callback !== 'function') throw invalidArgument('onProgress', 'a function', kindOf(callback));
  return (rows) => {
    try {
      callback(rows);
    } catch (error) {
      const context = { argument: 'onProgress', expected: 'a function that does not throw' };
      throw new SecretsError('ERR_SECRETS_INVALID_ARGUMENT', { context, cause: error });
    }
  };
}

export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw invalidArgument('signal', 'an AbortSignal', kindOf(signal));
}
