import { generateAuditSigner } from '@keywright/secrets/audit';
import type { TestEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { expect } from 'vitest';
import { type Fixture, openFixture } from '../support.ts';

/** A statement as the store sent it. */
export interface Sent {
  readonly sql: string;
  readonly bindings: readonly unknown[];
  /** Whether the driver prepares it under a name, so that it may get a plan that does not look at its bindings. */
  readonly prepared: boolean;
}

/** Statements of each operation, by its name. */
export type Captured = ReadonlyMap<string, readonly Sent[]>;

export const TENANT = 'plans';

interface QueryEvent {
  readonly sql: string;
  readonly bindings?: readonly unknown[];
  readonly options?: { readonly name?: string; readonly values?: readonly unknown[] };
}

const STATEMENT = /^\s*(?:select|insert|update|delete|with)\b/i;
const TAGS = ['red', 'large'];
const METADATA = { region: 'eu', limits: { calls: 7 } };

/** A store with some secrets, on which every operation has been done once, and what it sent for each. */
export async function captureStatements(engine: TestEngine): Promise<{ fixture: Fixture; captured: Captured }> {
  const fixture = await openFixture(engine, { audit: { signer: generateAuditSigner('plans').signer } });
  const captured = new Map<string, Sent[]>();
  let current: Sent[] | undefined;
  // what is prepared has its values among the options of the driver
  fixture.knex.on('query', ({ sql, bindings, options }: QueryEvent) => {
    if (STATEMENT.test(sql)) {
      current?.push({ sql, bindings: options?.values ?? bindings ?? [], prepared: options?.name !== undefined });
    }
  });
  for (const [name, operation] of operations(fixture)) {
    const sent: Sent[] = [];
    current = sent;
    await operation();
    captured.set(name, sent);
  }
  current = undefined;
  return { fixture, captured };
}

/** In the order in which they are done. Those whose statements nobody is to look at prepare the others. */
function operations({ knex, store, root, tenant }: Fixture): readonly (readonly [string, () => Promise<unknown>])[] {
  const ours = tenant(TENANT);
  const names = Array.from({ length: 20 }, (_, index) => `secret-${String(index).padStart(2, '0')}`);
  const inTransaction = (work: (trx: Knex.Transaction) => Promise<unknown>) => () => knex.transaction(work);
  let id = '';
  let cursor: string | undefined;
  return [
    ['prepare', async () => await Promise.all(names.map((name) => ours.save(name, name)))],
    [
      'save, new',
      () => ours.save('fresh', 'value', { tags: TAGS, metadata: METADATA, expiresAt: new Date('2100-01-01') }),
    ],
    ['save, another version', () => ours.save('fresh', 'other')],
    ['update', () => ours.update('fresh', { metadata: { region: 'us' } })],
    ['rename', () => ours.rename('fresh', 'renamed')],
    ['get by name', () => ours.get('secret-00')],
    [
      'prepare id',
      async () => {
        id = (await ours.get('secret-01')).id;
      },
    ],
    ['get by id', () => ours.getById(id)],
    ['get of a version', () => ours.get('renamed', { version: 1 })],
    ['get in a transaction', inTransaction((trx) => tenant(TENANT, trx).get('secret-00'))],
    ['getMany', () => ours.getMany([...names, { id }])],
    ['absence check', () => ours.get('nothing').catch(() => undefined)],
    ['exists', () => ours.exists('secret-00')],
    ['versions', () => ours.versions('renamed')],
    [
      'list, first page',
      async () => {
        cursor = (await ours.list({ limit: 5 })).nextCursor;
      },
    ],
    ['list, next page', () => ours.list({ limit: 5, cursor })],
    ['list, numbered page', () => ours.list({ page: 3, perPage: 5 })],
    ['list by tags', () => ours.list({ tags: TAGS })],
    ['list by metadata', () => ours.list({ metadata: { limits: { calls: 7 } } })],
    ['list of what has expired', () => ours.list({ expired: true })],
    ['search', () => ours.search('secret-1')],
    ['delete', () => ours.delete('secret-02')],
    ['list of what was deleted', () => ours.list({ deleted: 'only' })],
    ['restore', () => ours.restore('secret-02')],
    ['delete again', () => ours.delete('secret-02')],
    ['purge of what was deleted', () => ours.purgeDeleted()],
    [
      'audit list',
      async () => {
        cursor = (await ours.auditLog({ limit: 5 })).nextCursor;
      },
    ],
    ['audit list, next page', () => ours.auditLog({ limit: 5, cursor })],
    ['seal', () => store.audit.seal()],
    ['verify', () => store.audit.verify()],
    [
      'export',
      async () => {
        for await (const line of store.audit.export({ actor: 'tester' })) expect(line).not.toBe('');
      },
    ],
    ['prune', () => store.audit.prune({ actor: 'tester' })],
    ['redaction of rows', () => store.audit.redact({ tenantId: TENANT, rowIds: [id], actor: 'tester' })],
    ['rotation of a tenant key', () => store.rotateTenant(TENANT, { actor: 'tester' })],
    [
      'rotation of the root key',
      () => {
        root.add('v2', new Uint8Array(32).fill(2));
        root.activate('v2');
        return store.rotateRoot({ actor: 'tester' });
      },
    ],
  ];
}
