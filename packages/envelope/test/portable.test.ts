import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as byNode from '../src/runtime/node.ts';
import * as portable from '../src/runtime/portable.ts';
import { hex, KEYS } from './support.ts';

const text = fc.string({ unit: 'binary', maxLength: 50 }).map((each) => each.toWellFormed());

type Kinds = Pick<typeof portable, 'isUint8Array' | 'isMap' | 'isSet' | 'isPromise' | 'isSharedMemory'>;

describe('the portable runtime', () => {
  it('exports what the one of Node exports', () => {
    const names = Object.keys(portable).filter((name) => name !== 'SecretKey');
    expect(names.sort()).toEqual(Object.keys(byNode).sort());
  });

  it('measures and reads UTF-8 as Node does', () => {
    fc.assert(
      fc.property(text, fc.uint8Array({ maxLength: 12 }), (each, bytes) => {
        expect(portable.utf8Length(each)).toBe(byNode.utf8Length(each));
        for (const input of [Buffer.from(each), Buffer.from(bytes)]) {
          expect(portable.utf8Text(portable.Buffer.from(input))).toBe(byNode.utf8Text(input));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps a byte order mark', () => {
    expect(portable.utf8Text(portable.Buffer.from('\ufeffx'))).toBe('\ufeffx');
  });

  it('derives and authenticates as Node does', () => {
    for (const length of [0, 1, 16, 64, 200]) {
      const data = Buffer.alloc(length, 7);
      const [a, b] = [portable.secretKey(KEYS.v2), byNode.secretKey(KEYS.v2)];
      expect(hex(portable.hmacSha256(a, data))).toBe(hex(byNode.hmacSha256(b, data)));
      expect(hex(portable.sha512(data))).toBe(hex(byNode.sha512(data)));
      expect(hex(portable.hkdfSha512(a, data, data, 64))).toBe(hex(byNode.hkdfSha512(b, data, data, 64)));
    }
    expect(hex(portable.hmacSha256(portable.secretKey(KEYS.v1), 'é'))).toBe(
      hex(byNode.hmacSha256(byNode.secretKey(KEYS.v1), 'é')),
    );
  });

  it('fills any length with random bytes, also beyond what the platform gives at once', () => {
    const bytes = portable.fillRandom(new Uint8Array(200_000));
    for (let at = 0; at < bytes.length; at += 10_000) {
      expect(new Set(bytes.subarray(at, at + 10_000)).size).toBeGreaterThan(250);
    }
  });

  it('shows no key', () => {
    const key = portable.secretKey(KEYS.v1);
    expect(JSON.stringify(key) + Object.getOwnPropertyNames(key).join()).toBe('{}');
    const exported = portable.exportKey(key);
    exported.fill(0);
    expect(hex(portable.exportKey(key))).toBe(hex(KEYS.v1));
    expect([
      portable.sameKey(key, portable.secretKey(KEYS.v1)),
      portable.sameKey(key, portable.secretKey(KEYS.v2)),
    ]).toEqual([true, false]);
  });

  it.each<[string, unknown]>([
    ['a Uint8Array', new Uint8Array(1)],
    ['a Buffer', Buffer.alloc(1)],
    ['another typed array', new Uint8ClampedArray(1)],
    ['an object made on the prototype', Object.create(Uint8Array.prototype)],
    ['a proxy of bytes', new Proxy(new Uint8Array(1), {})],
    ['an object with its tag', { [Symbol.toStringTag]: 'Uint8Array' }],
    ['a Map', new Map()],
    ['an object made on the prototype of Map', Object.create(Map.prototype)],
    ['a Set', new Set()],
    ['a promise', Promise.resolve()],
    ['shared memory', new SharedArrayBuffer(1)],
    ['memory of its own', new ArrayBuffer(1)],
    ['null', null],
    ['undefined', undefined],
    ['text', 'text'],
  ])('sorts %s as Node does', (_what, value) => {
    const kinds = ({ isUint8Array, isMap, isSet, isPromise, isSharedMemory }: Kinds) =>
      [isUint8Array, isMap, isSet, isPromise, isSharedMemory].map((is) => is(value));
    expect(kinds(portable)).toEqual(kinds(byNode));
  });
});
