import { inspect } from 'node:util';
import { isKeywrightError } from '../../src/keywright-error.ts';
import type { Coverage } from './coverage.ts';
import { disguised } from './disguise.ts';
import { GENUINE, type Genuine, type Input, openAs, type Target } from './genuine.ts';
import { mutated } from './mutate.ts';
import { Random } from './random.ts';

const TARGETS: readonly Target[] = ['object', 'text', 'bytes', 'stream'];
const CODES: ReadonlySet<string> = new Set([
  'ERR_ENVELOPE_DECRYPT',
  'ERR_ENVELOPE_NOT_ENCRYPTED',
  'ERR_ENVELOPE_UNSUPPORTED_VERSION',
  'ERR_ENVELOPE_MALFORMED',
  'ERR_KEYRING_KID_UNKNOWN',
]);
const BATCH = 1000;
const MAX_CORPUS = 2000;
/** What one input may take: inputs have a mebibyte at most. */
const MAX_MS = 3000;
const MAX_BYTES: number = 32 * 2 ** 20;

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Keeps what reaches new code to mutate it further. @default every input is made of a genuine one */
  readonly coverage?: Coverage | undefined;
  /** Hears of each input before it is opened. */
  readonly onInput?: (count: number) => void;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly corpus: number;
  /** How often each outcome came. */
  readonly outcomes: Readonly<Record<string, number>>;
}

interface Mutant {
  readonly target: Target;
  /** The input without its disguise. */
  readonly plain: Input;
  readonly input: Input;
}

/**
 * Opens inputs made of genuine envelopes and of nothing, until the time is over.
 *
 * @throws Error that names seed and input, for an error without a code of ours, for anything that opens without being
 * genuine, and for an input that takes too much time or memory
 */
export function fuzz({ seed, seconds, coverage, onInput }: FuzzOptions): FuzzReport {
  const random = new Random(seed);
  const corpus = Object.fromEntries(
    TARGETS.map((target) => [target, GENUINE[target].map(({ input }) => input)]),
  ) as Record<Target, Input[]>;
  const outcomes: Record<string, number> = {};
  const where = (): string => `seed ${seed}, input ${inputs}`;
  // Taking coverage costs more than hundreds of inputs, so a batch is halved until what gained is found.
  const keepWhatGains = (batch: readonly Mutant[]): void => {
    coverage?.skip();
    for (const mutant of batch) tried(mutant, random, `${where()}, or one of the ${BATCH} before it`);
    if (!coverage?.peek()) return;
    const half = batch.length >> 1;
    if (half > 0) {
      keepWhatGains(batch.slice(0, half));
      keepWhatGains(batch.slice(half));
      return;
    }
    for (const mutant of batch) {
      tried(mutant, random, where());
      coverage.take();
      const { target, plain } = mutant;
      if (corpus[target].length < MAX_CORPUS) corpus[target].push(plain);
    }
  };
  const end = performance.now() + seconds * 1000;
  let inputs = 0;
  if (coverage !== undefined) {
    // What genuine inputs run is nothing to keep a mutant for.
    for (const target of TARGETS) for (const input of corpus[target]) openAs(target, input, () => 500);
    coverage.take();
  }
  while (performance.now() < end) {
    const batch = Array.from({ length: BATCH }, (): Mutant => {
      const target = random.pick(TARGETS);
      const plain = mutated(target, random.pick(corpus[target]), corpus[target], random);
      return { target, plain, input: target === 'object' && random.chance(4) ? disguised(plain, random) : plain };
    });
    coverage?.skip();
    for (const mutant of batch) {
      inputs++;
      onInput?.(inputs);
      const outcome = `${mutant.target}: ${tried(mutant, random, where())}`;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    if (coverage?.peek()) keepWhatGains(batch);
  }
  return { inputs, corpus: TARGETS.reduce((sum, target) => sum + corpus[target].length, 0), outcomes };
}

/** Opens one input; returns the code it was refused with, or `opened`. */
function tried({ target, plain, input }: Mutant, random: Random, where: string): string {
  const [start, before] = [performance.now(), process.memoryUsage().arrayBuffers];
  let outcome: string;
  try {
    const opened = openAs(target, input, () => 1 + random.int(random.pick([8, 300, 5000])));
    outcome = 'opened';
    if (!GENUINE[target].some((genuine) => shows(target, plain, input, genuine) && genuine.plaintext === opened)) {
      throw failure('opens, though nobody made it', input, where);
    }
  } catch (error) {
    if (!isKeywrightError(error)) throw failure(`fails with ${inspect(error)}`, input, where);
    if (!CODES.has(error.code)) throw failure(`fails with ${error.code}`, input, where);
    outcome = error.code;
  }
  const [took, grown] = [performance.now() - start, process.memoryUsage().arrayBuffers - before];
  if (took > MAX_MS) throw failure(`takes ${Math.round(took)} ms`, input, where);
  if (grown > MAX_BYTES) throw failure(`takes ${grown} bytes`, input, where);
  return outcome;
}

/** Whether an input is a genuine one after all: mutation can undo itself, and so can a disguise that shows other fields. */
function shows(target: Target, plain: Input, input: Input, genuine: Genuine): boolean {
  if (target === 'text') return plain === genuine.input;
  if (target !== 'object') return hex(plain) === hex(genuine.input);
  const fields = plain === input ? ['__enc', 'alg', 'kid', 'iv', 'ct'] : ['iv', 'ct'];
  const of = (value: Input): string => JSON.stringify(fields.map((field) => (value as Record<string, unknown>)[field]));
  return of(plain) === of(genuine.input);
}

function hex(bytes: Input): string {
  return Buffer.from(bytes as Uint8Array).toString('hex');
}

function failure(what: string, input: Input, where: string): Error {
  const shown = inspect(input, { depth: 4, maxStringLength: 5000, maxArrayLength: 5000, showProxy: true });
  return new Error(`An input ${what} (${where}):\n${input instanceof Uint8Array ? hex(input) : shown}`);
}
