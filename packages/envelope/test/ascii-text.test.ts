import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ASCII_ROOM, Buffer, isAsciiText } from '../src/runtime/node.ts';

const ASCII = /^[\0-\x7f]*$/;
const ascii = fc.string({ unit: 'binary-ascii', maxLength: 12 });
const others = fc.constantFrom('é', '\u0141', '\uff1d', '\ud83d\ude00', '\ud800', '\udc00');

it('a text is told to be ASCII or not, wherever the one character is and whatever room there is for it', () => {
  fc.assert(
    fc.property(ascii, fc.option(others, { nil: '' }), ascii, fc.nat({ max: 8 }), fc.nat({ max: 3 }), (...sample) => {
      const [before, other, after, extra, offset] = sample;
      const text = before + other + after;
      const scratch = Buffer.alloc(offset + text.length + extra);
      expect(isAsciiText(text, scratch, offset)).toBe(ASCII.test(text));
      expect(scratch.subarray(0, offset).every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

it('the room is enough for the longest character that is cut off at its end', () => {
  for (const text of ['\ud83d\ude00', '\uff1d', 'é', '\ud800'].flatMap((each) => [each, each.repeat(5)])) {
    expect(isAsciiText(text, Buffer.alloc(text.length + ASCII_ROOM), 0)).toBe(false);
  }
});
