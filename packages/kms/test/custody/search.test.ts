import { generateKeyPairSync } from 'node:crypto';
import type { PrivateJwk } from '@keywright/kms';
import { afterEach, expect, it } from 'vitest';
import { type CustodyPlace, custodyPlace } from '../support/custody-search.ts';

const KMS = new URL('../../dist/index.js', import.meta.url).href;

let place: CustodyPlace;
afterEach(() => place.remove());

/** Keys in this process, as the search is to find them elsewhere. */
const software = { module: KMS, factory: 'dbProvider', options: { id: 'db' }, algs: ['ES256'] as const };

it('the search finds the keys that a process is known to hold, however it holds them', async () => {
  place = custodyPlace();
  const holds = (['jwk', 'text', 'member'] as const).map((as) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    return { as, jwk: privateKey.export({ format: 'jwk' }) as PrivateJwk };
  });
  const subject = await place.start({ ...software, algs: [] }, holds);
  expect(subject.strings).toBeGreaterThan(10_000);
  const unknown = subject.find([]);
  // Without being known, too; but a value by itself says of nobody that it is a key.
  expect(unknown).toEqual([expect.stringMatching(/^strings of the heap: "/), 'the heap: an object with a member d']);
  for (const { jwk } of holds) expect(subject.find([jwk])).toContain('strings of the heap: a known key');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(subject.find([privateKey.export({ format: 'jwk' }) as PrivateJwk])).toEqual(unknown);
});

it('the search finds that the db provider has its keys in this process, and sealed in the database', async () => {
  place = custodyPlace();
  const subject = await place.start(software);
  expect(subject.find([])).toEqual(['the heap: a private key of node:crypto']);
});
