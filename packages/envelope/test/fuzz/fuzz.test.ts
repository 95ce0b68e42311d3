import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';
import { GENUINE, openAs, type Target } from './genuine.ts';

const seconds = Number(process.env.KEYWRIGHT_FUZZ_SECONDS ?? 3);
const seed = Number(process.env.KEYWRIGHT_FUZZ_SEED ?? Date.now() % 2 ** 31);

it(`inputs of any kind are opened or refused with a code (KEYWRIGHT_FUZZ_SEED=${seed})`, { timeout: 600_000 }, () => {
  const { inputs, outcomes } = fuzz({ seed, seconds });
  expect(inputs).toBeGreaterThan(200);
  // Every target has been reached behind its parser.
  for (const target of Object.keys(GENUINE)) expect(outcomes[`${target}: ERR_ENVELOPE_DECRYPT`]).toBeGreaterThan(0);
});

it('what it begins with opens', () => {
  for (const [target, inputs] of Object.entries(GENUINE)) {
    expect(inputs.length).toBeGreaterThan(2);
    for (const { input, plaintext } of inputs) expect(openAs(target as Target, input, () => 100)).toBe(plaintext);
  }
});
