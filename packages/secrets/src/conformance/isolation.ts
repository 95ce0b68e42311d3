import { beforeAll, expect, it } from 'vitest';
import type { TenantSecrets } from '../tenant.ts';
import { expectRefusal, type Theme } from './harness.ts';

const CALLS: readonly (readonly [string, (other: TenantSecrets, id: string) => Promise<unknown>])[] = [
  ['get', (other, id) => other.get({ id })],
  ['getById', (other, id) => other.getById(id)],
  ['get of a version', (other, id) => other.get({ id }, { version: 1 })],
  ['update', (other, id) => other.update({ id }, { value: 'stolen' })],
  ['update of metadata', (other, id) => other.update({ id }, { metadata: { stolen: true } })],
  ['merge', (other, id) => other.merge({ id }, { stolen: true })],
  ['rename', (other, id) => other.rename({ id }, 'stolen')],
  ['rollback', (other, id) => other.rollback({ id }, 1)],
  ['delete', (other, id) => other.delete({ id })],
  ['restore', (other, id) => other.restore({ id })],
  ['destroy', (other, id) => other.destroy({ id }, 1)],
  ['purge', (other, id) => other.purge({ id })],
  ['versions', (other, id) => other.versions({ id })],
];

/** Two tenants that have secrets of the same names. */
export const isolation: Theme = (subject) => {
  let id = '';

  beforeAll(async () => {
    const { tenant } = subject();
    ({ id } = await tenant('owner').save('shared name', { of: 'owner' }, { tags: ['t'], metadata: { m: 1 } }));
    await tenant('owner').save('only there', 'x');
    await tenant('neighbour').save('shared name', { of: 'neighbour' });
  });

  it.each(CALLS)("does not find another tenant's secret by its id: %s", async (_method, call) => {
    const { tenant } = subject();
    const before = await tenant('owner').get('shared name');
    await expectRefusal(call(tenant('neighbour'), id), 'ERR_SECRETS_NOT_FOUND');
    expect(await tenant('owner').get('shared name')).toEqual(before);
  });

  it('keeps secrets of one name apart', async () => {
    const { tenant } = subject();
    expect((await tenant('owner').get('shared name')).value).toEqual({ of: 'owner' });
    expect((await tenant('neighbour').get('shared name')).value).toEqual({ of: 'neighbour' });
    expect((await tenant('neighbour').getMany([{ id }]))[0]).toMatchObject({ outcome: 'refused' });
    expect(await tenant('neighbour').exists({ id })).toBe(false);
    expect(await tenant('neighbour').exists('only there')).toBe(false);
  });

  it('lists and finds nothing of another tenant', async () => {
    const { tenant } = subject();
    for (const options of [{}, { tags: ['t'] }, { metadata: { m: 1 } }, { deleted: 'include' }] as const) {
      for (const page of [tenant('neighbour').list(options), tenant('neighbour').search('s', options)]) {
        expect((await page).items.every((item) => item.id !== id && item.name === 'shared name')).toBe(true);
      }
    }
    expect(await tenant('neighbour').list({ page: 1 })).toMatchObject({ total: 1 });
    const { items } = await tenant('neighbour').auditLog({ limit: 500 });
    // What it asked for by id is in its own log; nothing that the other did is.
    const names = new Set(items.map(({ secretName }) => secretName));
    expect([...names].filter((name) => name !== null && name !== 'only there')).toEqual(['shared name']);
    expect(items.every(({ action, secretId }) => action !== 'secret.list' || secretId === null)).toBe(true);
  });

  it('saves, deletes and purges under a name without touching that of another tenant', async () => {
    const { tenant } = subject();
    await tenant('neighbour').save('shared name', 'again');
    await tenant('neighbour').delete('shared name');
    await tenant('neighbour').purgeDeleted();
    expect(await tenant('owner').get('shared name')).toMatchObject({ value: { of: 'owner' }, version: 1 });
  });
};
