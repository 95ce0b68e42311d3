import type { AuditLogOptions, TenantSecrets } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, openFixture, rejection } from '../support.ts';

describeEachEngine('what a tenant asks of its audit log', (engine) => {
  let fixture: Fixture;
  let tenant: TenantSecrets;
  let id: string;
  let middle: Date;

  beforeAll(async () => {
    fixture = await openFixture(engine);
    tenant = fixture.store.tenant('acme', { actor: 'alice' });
    ({ id } = await tenant.save('one', 'x'));
    await tenant.save('two', 'x');
    await new Promise((resolve) => setTimeout(resolve, 20));
    middle = new Date();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await fixture.store.tenant('acme', { actor: 'bob' }).get('one');
    await rejection(fixture.store.tenant('acme', { actor: 'bob' }).get('three'));
    await fixture.store.tenant('globex', { actor: 'bob' }).save('one', 'x');
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const asked = async (options: AuditLogOptions): Promise<readonly string[]> => {
    const { items } = await fixture.store.tenant('acme', { actor: 'auditor' }).auditLog(options);
    return items.filter(({ action }) => action !== 'audit.list').map((item) => `${item.action} ${item.secretName}`);
  };
  const all = ['tenant-key.create null', 'secret.save one', 'secret.save two', 'secret.get one', 'secret.get three'];

  it.each<[string, () => AuditLogOptions, readonly string[]]>([
    ['everything, newest first', () => ({}), all.toReversed()],
    ['the oldest first', () => ({ order: 'oldest' }), all],
    ['one secret by name', () => ({ secret: 'one' }), ['secret.get one', 'secret.save one']],
    ['one secret by id', () => ({ secretId: id.toUpperCase() }), ['secret.get one', 'secret.save one']],
    ['an action', () => ({ action: 'secret.save' }), ['secret.save two', 'secret.save one']],
    ['an actor', () => ({ actor: 'bob' }), ['secret.get three', 'secret.get one']],
    ['refusals', () => ({ outcome: 'refused' }), ['secret.get three']],
    ['what came since', () => ({ since: middle }), ['secret.get three', 'secret.get one']],
    ['what came until', () => ({ until: middle, order: 'oldest' }), all.slice(0, 3)],
    ['all at once', () => ({ secret: 'one', actor: 'bob', since: middle }), ['secret.get one']],
    ['nothing', () => ({ actor: '%' }), []],
  ])('is answered: %s', async (_what, options, expected) => {
    expect(await asked(options())).toEqual(expected);
  });

  it.each(['newest', 'oldest'] as const)('comes in pages, %s first', async (order) => {
    const pages: string[] = [];
    for (let cursor: string | undefined, page = 0; page < 5; page++) {
      const found = await tenant.auditLog({ order, limit: 1, cursor, actor: 'bob' });
      pages.push(...found.items.map(({ secretName }) => secretName ?? ''));
      cursor = found.nextCursor;
      if (cursor === undefined) break;
    }
    expect(pages).toEqual(order === 'newest' ? ['three', 'one'] : ['one', 'three']);
  });

  it.each([
    { order: 'desc' },
    { secret: '' },
    { secret: 'a\nb' },
    { secretId: 'x' },
    { action: "' or 1=1" },
    { action: 7 },
    { actor: 7 },
    { outcome: 'failed' },
    { since: '2026-01-01' },
    { until: new Date(Number.NaN) },
    { limit: 0 },
    { cursor: 'x' },
  ])('is refused: %j', async (options) => {
    expect(await rejection(tenant.auditLog(options as never))).toMatchObject({ code: 'ERR_SECRETS_INVALID_ARGUMENT' });
  });
});
