import { createKeyring } from '@keywright/envelope';
import { census, memoryRowSource, type SourceRow } from '@keywright/envelope/migrate';
import { describe, expect, it } from 'vitest';
import { codecOf, codeOf, credentialsOf, keyringOf, plainText } from './support.ts';

const codec = codecOf();
const written = {
  v1: (id: number, kid = 'v1') =>
    codecOf({ keyring: keyringOf(kid), write: 'v1', v1: 'allow' }).encode(credentialsOf(id), { key: { id } }),
  v2: (id: number, kid = 'v1') => codecOf({ keyring: keyringOf(kid) }).encode(credentialsOf(id), { key: { id } }),
};

function sourceOfValues(values: readonly unknown[]): ReturnType<typeof memoryRowSource> {
  return memoryRowSource(values.map((stored, index): SourceRow => ({ key: { id: index + 1 }, stored })));
}

describe('a census', () => {
  it('counts rows by state, version and key, without a key', async () => {
    const source = sourceOfValues([
      plainText(1),
      plainText(2),
      null,
      written.v1(4),
      written.v1(5, 'v2'),
      written.v2(6),
      written.v2(7, 'v2'),
      written.v2(8, 'v2'),
      'kw2.A256GCM.broken',
      '{"__enc":3,"kid":"v1"}',
    ]);
    const keyless = codecOf({ keyring: createKeyring({ keys: { other: Buffer.alloc(32, 7) }, activeKid: 'other' }) });
    const pages: number[] = [];
    expect(await census({ codec: keyless, source, batchRows: 4, onProgress: ({ rows }) => pages.push(rows) })).toEqual({
      rows: 10,
      nulls: 1,
      plaintext: 2,
      malformed: 2,
      byVersion: { 1: 2, 2: 3 },
      byKid: { v1: { v1: 1, v2: 1 }, v2: { v1: 1, v2: 2 } },
      otherKids: 0,
    });
    expect(pages).toEqual([4, 8, 10]);
  });

  it('counts kids that are called like parts of an object', async () => {
    const token = (kid: string): string => `kw2.A256GCM.${kid}.AAAA.AAAA`;
    const source = sourceOfValues([token('constructor'), token('__proto__'), token('__proto__')]);
    const { byKid } = await census({ codec, source });
    expect(Object.entries(byKid)).toEqual([
      ['constructor', { v1: 0, v2: 1 }],
      ['__proto__', { v1: 0, v2: 2 }],
    ]);
    expect(byKid.toString).toBeUndefined();
    expect(({} as { v2?: number }).v2).toBeUndefined();
  });

  it('names 1,024 kids at most and still counts the rows of others', async () => {
    const source = sourceOfValues(Array.from({ length: 1100 }, (_, index) => `kw2.A256GCM.k${index}.AAAA.AAAA`));
    const { byKid, otherKids, byVersion } = await census({ codec, source });
    expect([Object.keys(byKid).length, otherKids, byVersion[2]]).toEqual([1024, 76, 1100]);
  });

  it('stops at a signal', async () => {
    const controller = new AbortController();
    const source = sourceOfValues(Array.from({ length: 10 }, () => null));
    const run = census({
      codec,
      source,
      batchRows: 2,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(run).rejects.toThrow('aborted');
  });

  it.each([
    ['options', undefined],
    ['codec', { source: sourceOfValues([]) }],
    ['source', { codec }],
    ['batchRows', { codec, source: sourceOfValues([]), batchRows: 0 }],
    ['batchRows', { codec, source: sourceOfValues([]), batchRows: 10_001 }],
    ['onProgress', { codec, source: sourceOfValues([]), onProgress: 'log' }],
  ])('refuses wrong %s', async (argument, options) => {
    const error = await census(options as never).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ERR_COLUMN_INVALID_ARGUMENT', context: { argument } });
    expect(await codeOf(() => census(options as never))).toBe('ERR_COLUMN_INVALID_ARGUMENT');
  });
});
