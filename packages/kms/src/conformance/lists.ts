import { expect } from 'vitest';
import { expectRefusal, type Subject, type Theme } from './harness.ts';

const MAX_PAGES = 500;

/** What the backend holds can be gone through, page by page. */
export const lists: Theme = ({ capabilities }) => {
  if (!capabilities.listKeys) return [];
  return [
    {
      title: 'lists the keys that it made, page by page, each once',
      async run(subject) {
        const made = [await subject.key('lists/0'), await subject.key('lists/1'), await subject.key('lists/2')];
        const listed = await listAll(subject, 'lists/0', 2);
        for (const { externalId } of made) expect(listed.filter((id) => id === externalId)).toEqual([externalId]);
        if (capabilities.deleteKey !== 'immediate') return;
        for (const key of made) await subject.provider.deleteKey(key);
        const left = await listAll(subject, 'lists/0', 100);
        for (const { externalId } of made) expect(left).not.toContain(externalId);
      },
    },
    {
      title: 'refuses pages that cannot be',
      async run(subject) {
        const [tenantId] = subject.tenants('pages');
        for (const page of [{ limit: 0 }, { limit: 1.5 }, { limit: 1e9 }, { cursor: '' }, { cursor: 7 as never }]) {
          await expectRefusal(subject.provider.listKeys({ tenantId, ...page }), 'ERR_KMS_INVALID_ARGUMENT');
        }
      },
    },
  ];
};

async function listAll(subject: Subject, label: string, limit: number): Promise<readonly string[]> {
  const [tenantId] = subject.tenants(label);
  const found: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { keys, cursor: next } = await subject.provider.listKeys({ tenantId, limit, cursor });
    expect(keys.length).toBeLessThanOrEqual(limit);
    found.push(...keys.map(({ externalId }) => externalId));
    if (next === undefined) return found;
    expect(next).not.toBe(cursor);
    cursor = next;
  }
  throw new Error(`The list did not end within ${MAX_PAGES} pages.`);
}
