import { isProxy, isUint8Array } from './runtime/node.ts';

const CONTEXT_FIELDS = [
  'alg',
  'argument',
  'count',
  'driver',
  'expected',
  'field',
  'keyId',
  'kid',
  'leafIndex',
  'lease',
  'limit',
  'operation',
  'provider',
  'received',
  'rowId',
  'secretId',
  'state',
  'status',
  'table',
  'tenantId',
  'variable',
  'version',
] as const;

/**
 * What an error may say about the call that failed. The fields are an allow-list: identifiers, names of arguments and
 * variables, types and lengths. Never a value, a key, a URI, a token or an upstream message.
 */
export type ErrorContext = {
  readonly [Field in (typeof CONTEXT_FIELDS)[number]]?: string | number;
};

/** Options shared by every error of the family. */
export interface KeywrightErrorOptions {
  readonly context?: ErrorContext;
  /** The error that led here. It is scrubbed; {@link rawCause} still reaches the original. */
  readonly cause?: unknown;
}

const BRAND: unique symbol = Symbol.for('keywright.error') as never;
const rawCauses = new WeakMap<object, unknown>();

/**
 * Base class of every error that Keywright throws. Switch on `code`: it is stable, while messages may be reworded.
 * The message is one constant per code, so it can be logged or shown without looking at it first.
 *
 * @example
 * ```ts
 * import { isKeywrightError } from '@keywright/envelope';
 *
 * export function statusOf(error: unknown): number {
 *   if (!isKeywrightError(error)) return 500;
 *   return error.retryable ? 503 : 400;
 * }
 * ```
 */
export abstract class KeywrightError<Code extends string = string> extends Error {
  /** Stable identifier, `ERR_<AREA>_<CONDITION>`. */
  readonly code: Code;
  /** Whether the same call may succeed when it is made again unchanged. */
  readonly retryable: boolean;
  readonly context: ErrorContext;

  protected constructor(code: Code, message: string, retryable: boolean, options: KeywrightErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: scrubCause(options.cause) });
    this.code = code;
    this.retryable = retryable;
    this.context = allowListed(options.context);
    Object.defineProperty(this, BRAND, { value: true });
    if (options.cause !== undefined) rawCauses.set(this, options.cause);
  }

  /** The loggable form: never the cause's text, never a value. */
  toJSON(): { name: string; code: Code; message: string; retryable: boolean; context: ErrorContext } {
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      context: this.context,
    };
  }
}

/** Whether `error` is a {@link KeywrightError}, also one from another copy of this package. */
export function isKeywrightError(error: unknown): error is KeywrightError {
  return typeof error === 'object' && error !== null && Object.hasOwn(error, BRAND);
}

/**
 * The error behind `error.cause`, as the driver or library threw it. It may hold bindings, tokens or URLs: for a
 * debugger, never for a log.
 */
export function rawCause(error: KeywrightError): unknown {
  return rawCauses.get(error);
}

class ScrubbedCause extends Error {
  readonly code?: string;
  readonly status?: number;

  constructor(name: string, code: string | undefined, status: number | undefined) {
    super('Details withheld: they may hold a secret. rawCause(error) returns the original.');
    Object.defineProperty(this, 'name', { value: name });
    Object.defineProperty(this, 'stack', { value: `${name}: ${this.message}` });
    if (code !== undefined) this.code = code;
    if (status !== undefined) this.status = status;
  }
}

// What could be a 32-byte key as hex or base64, pasted where an id or a name belongs, is not echoed.
const LIKE_A_KEY = /^(?:[0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=?)$/;
const IDENTIFIER = /^[A-Za-z0-9_.]{1,64}$/;

function scrubCause(cause: unknown): Error {
  if (isKeywrightError(cause)) return cause;
  const source = (typeof cause === 'object' && cause !== null ? cause : {}) as Record<string, unknown>;
  const name = read(source, 'name');
  const code = read(source, 'code');
  const status = read(source, 'status');
  return new ScrubbedCause(
    typeof name === 'string' && IDENTIFIER.test(name) ? name : 'Error',
    typeof code === 'string' && IDENTIFIER.test(code) ? code : undefined,
    typeof status === 'number' ? status : undefined,
  );
}

function read(source: Record<string, unknown>, field: string): unknown {
  try {
    return source[field];
  } catch {
    return undefined; // a throwing getter has nothing to say that could be shown
  }
}

function allowListed(context: ErrorContext | undefined): ErrorContext {
  const kept: Record<string, string | number> = {};
  if (context !== undefined) {
    for (const field of CONTEXT_FIELDS) {
      const value = context[field];
      if (typeof value === 'string')
        kept[field] = LIKE_A_KEY.test(value) ? 'withheld: it could be a key' : value.slice(0, 256);
      else if (typeof value === 'number') kept[field] = value;
    }
  }
  return Object.freeze(kept);
}

/** How an argument that must not be shown is described: its type, and its length where it has one. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return `string of length ${value.length}`;
  if (isUint8Array(value)) return `${value.byteLength} bytes`;
  return isProxy(value) ? 'proxy' : Array.isArray(value) ? 'array' : typeof value;
}
