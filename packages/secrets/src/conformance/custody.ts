import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { refusal, type Theme } from './harness.ts';

const CANARY = 'canary-8c1f0e5b';
const TABLES = ['secrets', 'secret_versions', 'secret_tenant_keys', 'secret_root_keys', 'secret_audit_log'] as const;

/** Everything that a log line, an error page or a debugger might show. */
function shown(thing: unknown): string {
  const parts = [String(thing), inspect(thing, { depth: 10, showHidden: true }), JSON.stringify(thing) ?? ''];
  for (let error = thing; error instanceof Error; error = error.cause) parts.push(error.message, error.stack ?? '');
  return parts.join('\n');
}

/** A planted value is found nowhere but where it is asked for. */
export const custody: Theme = (subject) => {
  const forms = [CANARY, Buffer.from(CANARY).toString('base64'), Buffer.from(CANARY).toString('hex')];
  const clean = (text: string): void => {
    for (const form of forms) expect(text).not.toContain(form);
  };

  it('is in no row of the database, whatever was done with the secret', async () => {
    const { harness, table, tenant } = subject();
    const custodian = tenant('custody');
    await custodian.save('text', CANARY, { metadata: { env: 'test' }, tags: ['t'], description: 'd' });
    await custodian.save('json', { deep: [CANARY] });
    await custodian.save('bytes', Buffer.from(CANARY));
    await custodian.merge('json', { more: CANARY });
    await custodian.update('text', { value: `${CANARY} again` });
    await custodian.rollback('text', 1);
    await custodian.rename('bytes', 'raw');
    await custodian.delete('raw');
    await custodian.restore('raw');
    for (const name of TABLES) {
      for (const row of (await harness.admin(table(name)).select('*')) as readonly object[]) {
        for (const value of Object.values(row)) {
          expect(Buffer.isBuffer(value) ? value.includes(CANARY) : JSON.stringify(value).includes(CANARY)).toBe(false);
        }
      }
    }
  });

  it('is not shown by a secret that is logged, inspected or serialised', async () => {
    const { tenant } = subject();
    const many = await tenant('custody').getMany(['text', 'json', 'raw']);
    for (const result of many) {
      if (result.outcome !== 'found') throw result.error;
      clean(shown(result.secret));
      expect(shown(result.secret)).toContain('[secret]');
      expect(Object.keys(result.secret)).not.toContain('value');
      expect(result.secret.value).toBeDefined();
    }
    clean(shown(many));
  });

  it('is in no error and in no log line', async () => {
    const { harness, table, tenant, log } = subject();
    const custodian = tenant('custody');
    await harness
      .admin(table('secret_versions'))
      .where({ tenant_id: 'custody', version: 1 })
      .update({ ciphertext: Buffer.from(CANARY) });
    for (const call of [
      () => custodian.save('text', CANARY, { ifAbsent: true }),
      () => custodian.save('text', CANARY, { expectedVersion: 99 }),
      () => custodian.save('large', CANARY.repeat(2e5)),
      () => custodian.save(`\n${CANARY}`, CANARY),
      () => custodian.save('bad', { [CANARY]: 1n, also: CANARY }),
      () => custodian.save('bad', CANARY, { metadata: { a: `${CANARY}\0` } }),
      () => custodian.save('bad', CANARY, { tags: [`${CANARY}\0`] }),
      () => custodian.save('bad', CANARY, { description: `${CANARY}\0` }),
      () => custodian.save('bad', CANARY, { expiresAt: CANARY as never }),
      () => custodian.update('nothing', { value: CANARY }),
      () => custodian.merge('text', { a: CANARY }),
      () => custodian.merge('json', CANARY as never),
      () => custodian.get('text', { version: 1 }),
      () => custodian.rollback('text', 1),
      () => custodian.search(`${CANARY}\0`),
      () => custodian.list({ cursor: CANARY }),
    ]) {
      clean(shown(await refusal(call())));
    }
    clean(shown(harness.store) + shown(custodian));
    expect(log.length).toBeGreaterThan(0);
    clean(log.join('\n'));
  });
};
