import { createHmac, hkdfSync } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { describe, expect, it } from 'vitest';
import { type BoundFacts, bindingKekId, bindingMatches, makeBinding } from '../src/binding.ts';
import { contexts } from '../src/contexts.ts';

const KEK_ID = '01890a5d-ac96-774b-bcce-b302099a8057';
const KEY = Buffer.alloc(32, 9);
const kek = createKeyring({ keys: { [KEK_ID]: KEY }, activeKid: KEK_ID });
const facts: BoundFacts = {
  tenantId: 'acme',
  id: '01890a5d-ac96-774b-bcce-b302099a8058',
  name: 'stripe',
  currentVersion: 2,
  expiresAt: null,
  isDeleted: false,
};

function pae(parts: readonly string[]): Buffer {
  const le64 = (n: number): Buffer => Buffer.from([n, n >> 8, 0, 0, 0, 0, 0, 0]);
  const bytes = parts.map((part) => Buffer.from(part));
  return Buffer.concat([le64(parts.length), ...bytes.flatMap((part) => [le64(part.length), part])]);
}

describe('a binding', () => {
  it('is the key id and an HMAC over every fact, as databases hold it', () => {
    const key = Buffer.from(hkdfSync('sha512', KEY, '', pae(['keywright/mac', KEK_ID, 'secrets.binding']), 32));
    const mac = createHmac('sha256', key)
      .update(pae(['acme', facts.id, 'stripe', '2', '', '0']))
      .digest();
    const expected = Buffer.concat([Buffer.from(KEK_ID.replaceAll('-', ''), 'hex'), mac]);
    expect(makeBinding(kek, facts)).toEqual(expected);
    expect(bindingKekId(expected)).toBe(KEK_ID);
    expect(bindingMatches(kek, expected, facts)).toBe(true);
  });

  it.each<Partial<BoundFacts>>([
    { tenantId: 'globex' },
    { id: '01890a5d-ac96-774b-bcce-b302099a8059' },
    { name: 'stripe2' },
    { currentVersion: 1 },
    { expiresAt: 0 },
    { isDeleted: true },
  ])('does not match with %j', (change) => {
    expect(bindingMatches(kek, makeBinding(kek, facts), { ...facts, ...change })).toBe(false);
  });

  it('is none for other bytes', () => {
    for (const length of [0, 16, 47, 49]) expect(bindingKekId(Buffer.alloc(length))).toBeUndefined();
  });
});

describe('encryption contexts', () => {
  it('are exactly these: what was encrypted under them must open for ever', () => {
    expect(contexts.tenantKek('acme', 'k1')).toEqual({ kind: 'tenant-kek', tenant: 'acme', kek: 'k1' });
    expect(contexts.dek('acme', 's1', 3, 'k1')).toEqual({
      kind: 'dek',
      tenant: 'acme',
      secret: 's1',
      version: '3',
      kek: 'k1',
    });
    expect(contexts.secretValue('acme', 's1', 3)).toEqual({
      kind: 'secret-value',
      tenant: 'acme',
      secret: 's1',
      version: '3',
    });
  });
});
