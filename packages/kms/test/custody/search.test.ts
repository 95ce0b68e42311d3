import { generateKeyPairSync } from 'node:crypto';
import type { PrivateJwk } from '@keywright/kms';
import { afterEach, expect, it } from 'vitest';
import { type CustodyPlace, custodyPlace } from '../support/custody-search.ts';

const KMS = new URL('../../dist/index.js', import.meta.url).href;

let place: CustodyPlace;
afterEach(() => place.remove());

/** Keys in this process, as the search is to find them elsewhere. */
const software = { module: KMS, factory: 'dbProvider', options: { id: 'db' }, algs: ['ES256'] as const };

it.each(['jwk', 'text', 'member'] as const)(
  'the search finds a key that a process is known to hold, as %s',
  async (as) => {
    place = custodyPlace();
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as PrivateJwk;
    const subject = await place.start({ ...software, algs: [] }, { jwk, as });
    expect(subject.strings).toBeGreaterThan(10_000);
    expect(subject.find([jwk])).toContain('strings of the heap: a known key');
    const unknown = subject.find([]);
    // A value by itself says of nobody that it is a key.
    if (as === 'member') expect(unknown).toEqual([]);
    else expect(unknown).not.toEqual([]);
  },
);

it('the search finds that the db provider has its keys in this process, and sealed in the database', async () => {
  place = custodyPlace();
  const subject = await place.start(software);
  expect(subject.find([])).toEqual(['the heap: a private key of node:crypto']);
});
