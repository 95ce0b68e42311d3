import type { Input, Target } from './genuine.ts';
import type { Random } from './random.ts';

const BYTES = [0, 1, 2, 3, 4, 0x2e, 0x3d, 0x40, 0x41, 0x7f, 0x80, 0xc2, 0xed, 0xff];
const KIDS = [
  'v1',
  'k-2_B',
  'V1',
  'v',
  '',
  '__proto__',
  'constructor',
  'toString',
  'v1\n',
  'ü',
  'v'.repeat(65),
  '\ud800',
];
const SUITES = ['A256GCM', 'XC20P', 'XS20P', 'XC99P', 'a256gcm', '', '__proto__', 'constructor', 'A'.repeat(17)];
const VERSIONS = [0, 1, 2, 3, -1, 2.5, 2 ** 53, Number.NaN, '2', null, undefined, true, [2], {}];
const CHARACTERS = [
  '',
  'A',
  '=',
  '==',
  '+',
  '/',
  '-',
  '_',
  '.',
  ' ',
  '\n',
  '\0',
  '\u0141',
  '\ud800',
  '\udc00',
  '🔑',
  '\ufeff',
];
const FIELDS = ['__enc', 'alg', 'kid', 'iv', 'ct'];
const OTHER_FIELDS = ['note', '', '__proto__', 'constructor', 'toJSON', 'length'];
const MOST_CHARACTERS = 2 ** 20;

/** One input made of another, in one to four steps. `others` are there to take parts of. */
export function mutated(target: Target, input: Input, others: readonly Input[], random: Random): Input {
  let result = input;
  for (let steps = 1 + random.int(4); steps > 0; steps--) result = step(target, result, others, random);
  return result;
}

function step(target: Target, input: Input, others: readonly Input[], random: Random): Input {
  const other = random.pick(others);
  if (target === 'object') return mutatedObject(input, other, random);
  if (target === 'text') return mutatedText(String(input), String(other), random);
  return mutatedBytes(Buffer.from(input as Uint8Array), Buffer.from(other as Uint8Array), random);
}

function mutatedObject(input: Input, other: Input, random: Random): Input {
  if (random.chance(40)) return oddValue(random);
  const copy: Record<string, unknown> = { ...(input as object) };
  const field = random.pick(FIELDS);
  const set = (name: string, value: unknown): void => {
    Object.defineProperty(copy, name, { value, enumerable: true, configurable: true, writable: true });
  };
  switch (random.int(8)) {
    case 0:
      delete copy[field];
      break;
    case 1:
      set(field, oddValue(random));
      break;
    case 2:
      set(random.pick(OTHER_FIELDS), oddValue(random));
      break;
    case 3:
      set('__enc', random.pick(VERSIONS));
      break;
    case 4:
      set('kid', random.pick(KIDS));
      break;
    case 5:
      set('alg', random.pick(SUITES));
      break;
    case 6:
      set(field, (other as Record<string, unknown> | null | undefined)?.[field]);
      break;
    default: {
      const name = random.pick(['iv', 'ct']);
      set(name, mutatedEncoding(String(copy[name]), 'base64', random));
    }
  }
  return copy;
}

function mutatedText(input: string, other: string, random: Random): string {
  const parts = input.split('.');
  switch (random.int(8)) {
    case 0:
      parts[0] = random.pick(['kw2', 'kw1', 'kw3', 'kw', 'kw02', 'kw99999', 'KW2', '']);
      break;
    case 1:
      parts[1] = random.pick(SUITES);
      break;
    case 2:
      parts[2] = random.pick(KIDS);
      break;
    case 3:
      return mutatedCharacters(input, random);
    case 4:
      parts.splice(random.int(parts.length + 1), random.int(2), ...(random.chance(2) ? [random.pick(KIDS)] : []));
      break;
    case 5: {
      const at = random.int(5);
      parts[at] = other.split('.')[at] ?? '';
      break;
    }
    default: {
      const at = random.pick([3, 4]);
      parts[at] = mutatedEncoding(parts[at] ?? '', 'base64url', random);
    }
  }
  return parts.join('.').slice(0, MOST_CHARACTERS);
}

/** Changes what an encoding holds, how it is written, or the encoding itself. */
function mutatedEncoding(text: string, encoding: 'base64' | 'base64url', random: Random): string {
  if (random.chance(3)) return mutatedCharacters(text, random);
  const bytes = Buffer.from(text, encoding);
  const changed = random.chance(8) ? bytes : mutatedBytes(bytes, bytes, random);
  return changed.toString(random.chance(8) ? random.pick(['base64', 'base64url', 'hex', 'latin1']) : encoding);
}

function mutatedCharacters(text: string, random: Random): string {
  const at = random.int(text.length + 1);
  if (random.chance(60)) return random.pick(['A', '=', '.', 'kw2.', '\ud800']).repeat(random.int(MOST_CHARACTERS / 4));
  if (random.chance(3)) return text.slice(0, at);
  return text.slice(0, at) + random.pick(CHARACTERS) + text.slice(at + random.int(3));
}

function mutatedBytes(bytes: Buffer, other: Buffer, random: Random): Buffer {
  const at = random.int(random.chance(3) ? Math.min(bytes.length, 24) : bytes.length);
  const length = random.int(random.chance(4) ? 200 : 4);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (random.int(8)) {
    case 0:
    case 1: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at] = (copy[at] as number) ^ (1 << random.int(8));
      return copy;
    }
    case 2: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at] = random.pick(BYTES);
      return copy;
    }
    case 3:
      return before;
    case 4:
      return Buffer.concat([before, after.subarray(length)]);
    case 5:
      return Buffer.concat([before, random.bytes(length), after]);
    case 6:
      return Buffer.concat([before, other.subarray(random.int(other.length))]).subarray(0, MOST_CHARACTERS);
    default:
      return Buffer.concat([before, Buffer.alloc(length, random.pick(BYTES)), after.subarray(length)]);
  }
}

function oddValue(random: Random): unknown {
  const odd: readonly (() => unknown)[] = [
    () => undefined,
    () => null,
    () => random.int(10),
    () => 2n,
    () => Symbol('ct'),
    () => '',
    () => random.pick(CHARACTERS).repeat(random.int(50)),
    () => 'A'.repeat(4 * random.int(MOST_CHARACTERS / 4)),
    () => random.bytes(40).toString('base64'),
    () => random.bytes(40),
    () => nested(random.int(20_000)),
    () => Object('v1'),
    () => () => 'v1',
    () => ({ toString: () => 'v1' }),
    () => new Map([['__enc', 2]]),
    () => [random.int(3)],
  ];
  return random.pick(odd)();
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { value };
  return value;
}
