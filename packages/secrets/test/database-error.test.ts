import { rawCause } from '@keywright/envelope';
import { SecretsError } from '@keywright/secrets';
import { describe, expect, it } from 'vitest';
import { databaseError } from '../src/internal/database-error.ts';

const failure = (message: string, more: object = {}): Error => Object.assign(new Error(message), more);

describe('what a driver throws', () => {
  it.each<[string, unknown, string, boolean]>([
    ['serialization failure', failure('x', { code: '40001' }), 'ERR_SECRETS_DATABASE', true],
    ['deadlock', failure('x', { code: '40P01' }), 'ERR_SECRETS_DATABASE', true],
    ['lock timeout', failure('x', { code: '55P03' }), 'ERR_SECRETS_DATABASE', true],
    ['statement timeout', failure('x', { code: '57014' }), 'ERR_SECRETS_DATABASE', true],
    ['server shut down', failure('x', { code: '57P01' }), 'ERR_SECRETS_DATABASE', true],
    ['idle session timeout', failure('x', { code: '57P05' }), 'ERR_SECRETS_DATABASE', true],
    ['transaction timeout', failure('x', { code: '25P04' }), 'ERR_SECRETS_DATABASE', true],
    ["timeout of pg's pool", failure('timeout exceeded when trying to connect'), 'ERR_SECRETS_DATABASE', true],
    ['read-only standby after a failover', failure('x', { code: '25006' }), 'ERR_SECRETS_DATABASE', true],
    ['connection exception', failure('x', { code: '08006' }), 'ERR_SECRETS_DATABASE', true],
    ['disk full', failure('x', { code: '53100' }), 'ERR_SECRETS_DATABASE', true],
    ['connection reset', failure('x', { code: 'ECONNRESET' }), 'ERR_SECRETS_DATABASE', true],
    ['a name that is not resolved', failure('x', { code: 'ENOTFOUND' }), 'ERR_SECRETS_DATABASE', true],
    ['a schema that is missing', failure('x', { code: '3F000' }), 'ERR_SECRETS_INVALID_ARGUMENT', false],
    ['connection terminated', failure('Connection terminated unexpectedly'), 'ERR_SECRETS_DATABASE', true],
    ['connect timeout', failure('timeout expired'), 'ERR_SECRETS_DATABASE', true],
    ['pool timeout', failure('x', { name: 'KnexTimeoutError' }), 'ERR_SECRETS_DATABASE', true],
    ['SQLite busy', failure('x', { code: 'SQLITE_BUSY_SNAPSHOT' }), 'ERR_SECRETS_DATABASE', true],
    [
      'aborted transaction',
      failure('current transaction is aborted', { code: '25P02' }),
      'ERR_SECRETS_DATABASE',
      false,
    ],
    ['unique violation', failure('x', { code: '23505' }), 'ERR_SECRETS_DATABASE', false],
    ['somebody else aborted', failure('The operation was aborted'), 'ERR_SECRETS_DATABASE', false],
    ['a text about tables', failure('no such table reservation'), 'ERR_SECRETS_DATABASE', false],
    ['nothing', undefined, 'ERR_SECRETS_DATABASE', false],
    ['missing table', failure('x', { code: '42P01' }), 'ERR_SECRETS_NOT_MIGRATED', false],
    ['missing column', failure('x', { code: '42703' }), 'ERR_SECRETS_NOT_MIGRATED', false],
    [
      'SQLite: missing table',
      failure('no such table: secrets', { code: 'SQLITE_ERROR' }),
      'ERR_SECRETS_NOT_MIGRATED',
      false,
    ],
    ['no privilege', failure('permission denied', { code: '42501' }), 'ERR_SECRETS_DATABASE_PERMISSION', false],
    ['SQLite: read-only file', failure('x', { code: 'SQLITE_READONLY' }), 'ERR_SECRETS_DATABASE_PERMISSION', false],
    ['closed', failure('Unable to acquire a connection'), 'ERR_SECRETS_DATABASE_CLOSED', false],
    [
      "pg's pool closed",
      failure('Cannot use a pool after calling end on the pool'),
      'ERR_SECRETS_DATABASE_CLOSED',
      false,
    ],
  ])('%s', (_what, thrown, code, retryable) => {
    const error = databaseError(thrown, 'secret.get');
    expect(error).toMatchObject({ code, retryable, context: { operation: 'secret.get' } });
    expect(rawCause(error)).toBe(thrown);
  });

  it('is kept as it is when it is typed, and survives a getter that throws', () => {
    const typed = new SecretsError('ERR_SECRETS_NOT_FOUND');
    expect(databaseError(typed, 'x')).toBe(typed);
    const hostile = {
      get code(): string {
        throw new Error('no');
      },
    };
    expect(databaseError(hostile, 'x').code).toBe('ERR_SECRETS_DATABASE');
  });
});
