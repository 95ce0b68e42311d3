import type { KeyProgress, SecretStore } from '@keywright/secrets';
import { describeEachEngine } from '@keywright/testkit/engines';
import type { Knex } from 'knex';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { auditRows, type Fixture, openFixture, rejection } from './support.ts';

const ACTOR = { actor: 'operator' } as const;

interface VersionRow {
  readonly secret_id: string;
  readonly version: number;
  readonly wrapped_dek: Buffer | null;
  readonly ciphertext: Buffer | null;
}

describeEachEngine('a re-encryption of a tenant', (engine) => {
  let fixture: Fixture;
  let knex: Knex;
  let store: SecretStore;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  beforeEach(async () => {
    fixture = await fixture.renew();
    ({ knex, store } = fixture);
    const acme = fixture.tenant('acme');
    for (const name of ['a', 'b', 'c', 'd']) await acme.save(name, `${name} 1`);
    await acme.save('a', new Uint8Array(1_000_000).fill(7));
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const versions = async (): Promise<readonly VersionRow[]> =>
    await knex('secret_versions')
      .where({ tenant_id: 'acme' })
      .orderBy(['secret_id', 'version'])
      .select('secret_id', 'version', 'wrapped_dek', 'ciphertext');

  it('gives every version another data key and another ciphertext, and the same value', async () => {
    const before = await versions();
    expect(await store.reencryptTenant('acme', ACTOR)).toEqual({ tenantId: 'acme', versions: 5 });
    for (const [index, row] of (await versions()).entries()) {
      expect(row.wrapped_dek).not.toEqual(before[index]?.wrapped_dek);
      expect(row.ciphertext).not.toEqual(before[index]?.ciphertext);
    }
    const acme = fixture.reopen(fixture.root).tenant('acme', ACTOR);
    expect((await acme.get('a')).value).toEqual(new Uint8Array(1_000_000).fill(7));
    expect((await acme.get('a', { version: 1 })).value).toBe('a 1');
    expect((await acme.get('d')).value).toBe('d 1');
    // what the old data keys open is there no more: an old key in a new row opens nothing
    const [first] = before;
    const at = { tenant_id: 'acme', secret_id: first?.secret_id, version: first?.version };
    await knex('secret_versions').where(at).update({ wrapped_dek: first?.wrapped_dek });
    expect(await rejection(acme.get('a', { version: 1 }))).toMatchObject({ code: 'ERR_SECRETS_INTEGRITY' });
  });

  it('goes on behind the last batch that is done when it is called again', async () => {
    const controller = new AbortController();
    const onProgress = ({ done }: KeyProgress): void => (done >= 2 ? controller.abort() : undefined);
    const options = { ...ACTOR, batchRows: 1, signal: controller.signal, onProgress };
    expect(await rejection(store.reencryptTenant('acme', options))).toMatchObject({ code: 'ERR_SECRETS_ABORTED' });
    const half = await versions();
    const { versions: rest } = await fixture.reopen(fixture.root).reencryptTenant('acme', { ...ACTOR, batchRows: 1 });
    // at most two batches are done twice: the one that nothing was noted of, and the one that was under way
    expect(rest).toBeLessThan(5);
    const after = await versions();
    expect(after[0]?.ciphertext).toEqual(half[0]?.ciphertext);
    expect(after.at(-1)?.ciphertext).not.toEqual(half.at(-1)?.ciphertext);
    // and from the start when it had ended
    expect((await store.reencryptTenant('acme', ACTOR)).versions).toBe(5);
  });

  it('brings nothing back that was destroyed before or meanwhile, and overwrites nothing that is newer', async () => {
    const [, second] = await versions();
    const destroy = (row: VersionRow | undefined): Promise<unknown> =>
      knex('secret_versions')
        .where({ tenant_id: 'acme', secret_id: row?.secret_id, version: row?.version })
        .update({ wrapped_dek: null, ciphertext: null, destroyed_at: new Date() });
    await destroy(second);
    const rows = await versions();
    let during: Promise<unknown> | undefined;
    await store.reencryptTenant('acme', {
      ...ACTOR,
      batchRows: 1,
      onProgress: () => {
        during ??= Promise.all([destroy(rows.at(-1)), fixture.tenant('acme').save('b', 'b 2')]);
      },
    });
    await during;
    const after = await versions();
    expect(after.filter(({ wrapped_dek }) => wrapped_dek === null)).toHaveLength(2);
    expect((await fixture.reopen(fixture.root).tenant('acme', ACTOR).get('b')).value).toBe('b 2');
  });

  it('counts in a dry run, and is audited', async () => {
    const before = await versions();
    expect(await store.reencryptTenant('acme', { ...ACTOR, dryRun: true })).toMatchObject({ versions: 0, pending: 5 });
    expect(await versions()).toEqual(before);
    await store.reencryptTenant('acme', ACTOR);
    expect((await auditRows(knex, 'acme')).at(-1)).toMatchObject({ action: 'tenant.reencrypt', actor: 'operator' });
  });

  it('stops at a version that does not open, and names it', async () => {
    const [, , third] = await versions();
    const at = { tenant_id: 'acme', secret_id: third?.secret_id, version: third?.version };
    await knex('secret_versions')
      .where(at)
      .update({ ciphertext: Buffer.from('planted') });
    expect(await rejection(store.reencryptTenant('acme', ACTOR))).toMatchObject({
      code: 'ERR_SECRETS_INTEGRITY',
      context: { secretId: third?.secret_id, version: third?.version },
    });
    await knex('secret_versions').where(at).update({ ciphertext: third?.ciphertext });
    await store.reencryptTenant('acme', ACTOR);
  });
});
