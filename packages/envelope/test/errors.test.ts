import { inspect } from 'node:util';
import { EnvelopeError, isKeywrightError, KeyringError, KeywrightError, rawCause } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';

const CANARY = 'sk_live_canary';

describe('an error', () => {
  it('has a class, a code, a constant message and a context', () => {
    const error = new KeyringError('ERR_KEYRING_KID_UNKNOWN', { context: { kid: 'v9' } });
    expect(error).toBeInstanceOf(KeywrightError);
    expect(error).toMatchObject({ name: 'KeyringError', code: 'ERR_KEYRING_KID_UNKNOWN', retryable: false });
    expect(error.context).toEqual({ kid: 'v9' });
    expect(Object.isFrozen(error.context)).toBe(true);
    expect(error.message).toBe(new KeyringError('ERR_KEYRING_KID_UNKNOWN').message);
    expect(String(error)).toBe(`KeyringError: ${error.message}`);
    expect(isKeywrightError(error)).toBe(true);
    expect(isKeywrightError(new Error('x'))).toBe(false);
    expect(isKeywrightError(null)).toBe(false);
  });

  it('keeps of its context only what is on the list', () => {
    const context = { kid: 'v1', token: CANARY, argument: { deep: CANARY }, limit: 7 } as never;
    const error = new EnvelopeError('ERR_ENVELOPE_DECRYPT', { context });
    expect(error.context).toEqual({ kid: 'v1', limit: 7 });
    expect(inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain(CANARY);
  });

  it('scrubs its cause: name, code and status stay, text and members go', () => {
    const cause = Object.assign(new TypeError(`connect postgres://u:${CANARY}@db`), {
      code: 'ECONNREFUSED',
      status: 503,
      body: CANARY,
      cause: new Error(CANARY),
    });
    const error = new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause });
    const shown = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error) + error.stack;
    expect(shown).not.toContain(CANARY);
    expect(error.cause).toMatchObject({ name: 'TypeError', code: 'ECONNREFUSED', status: 503 });
    expect(rawCause(error)).toBe(cause);
  });

  it('scrubs causes of any kind', () => {
    const hostile = {
      get name(): string {
        throw new Error(CANARY);
      },
      code: `${CANARY} with blanks`,
      status: CANARY,
    };
    for (const cause of [hostile, CANARY, 7, null, Symbol(CANARY), () => CANARY]) {
      const error = new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause });
      expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)).not.toContain(CANARY);
      expect(rawCause(error)).toBe(cause);
    }
  });

  it('keeps a cause that is one of ours', () => {
    const inner = new KeyringError('ERR_KEYRING_KID_UNKNOWN');
    expect(new EnvelopeError('ERR_ENVELOPE_DECRYPT', { cause: inner }).cause).toBe(inner);
  });
});
