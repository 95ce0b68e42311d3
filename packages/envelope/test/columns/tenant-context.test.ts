import { setTimeout } from 'node:timers/promises';
import { columnCodec, tenantFromContext, withContext } from '@keywright/envelope/columns';
import { describe, expect, it } from 'vitest';
import { testKeyring, thrown } from '../support.ts';

describe('withContext', () => {
  it('gives its tenant to all that it starts, each request its own', async () => {
    const seen = await Promise.all(
      ['acme', 'globex'].map((tenant) =>
        withContext({ tenant }, async () => {
          await setTimeout(1);
          return tenantFromContext();
        }),
      ),
    );
    expect(seen).toEqual(['acme', 'globex']);
  });

  it('replaces an outer scope until it ends', () => {
    const inner = (): string => withContext({ tenant: 'inner' }, tenantFromContext);
    expect(withContext({ tenant: 'outer' }, () => [tenantFromContext(), inner(), tenantFromContext()])).toEqual([
      'outer',
      'inner',
      'outer',
    ]);
  });

  it('is over when it has returned', () => {
    withContext({ tenant: 'acme' }, () => undefined);
    expect(thrown(tenantFromContext)).toMatchObject({ name: 'ColumnError', code: 'ERR_COLUMN_TENANT_MISSING' });
  });

  it.each([undefined, {}, { tenant: '' }, { tenant: 7 }, { tenant: '\ud800' }])('refuses %j', (scope) => {
    expect(thrown(() => withContext(scope as never, () => undefined)).code).toBe('ERR_COLUMN_TENANT_MISSING');
  });

  it('binds the values of a codec that asks for it', () => {
    const codec = columnCodec({
      keyring: testKeyring(),
      table: 'notes',
      column: 'body',
      payload: 'text',
      binds: 'column',
      tenant: tenantFromContext,
    });
    const stored = withContext({ tenant: 'acme' }, () => codec.encode('x'));
    expect(withContext({ tenant: 'acme' }, () => codec.decode(stored))).toBe('x');
    const read = (tenant: string) => thrown(() => withContext({ tenant }, () => codec.decode(stored))).code;
    expect(read('globex')).toBe('ERR_ENVELOPE_DECRYPT');
    expect(thrown(() => codec.encode('x')).code).toBe('ERR_COLUMN_TENANT_MISSING');
    expect(thrown(() => codec.decode(stored)).code).toBe('ERR_COLUMN_TENANT_MISSING');
  });
});
