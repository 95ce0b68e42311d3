import { expect, test } from 'vitest';
import { checkCase } from '../src/check.ts';
import { measureCase, orderOf } from '../src/measure.ts';
import { runSuite } from '../src/run.ts';
import type { Contender } from '../src/suite.ts';
import { suiteOf, WorkClock } from './fake.ts';

test('twice the work is a ratio of 2', async () => {
  const clock = new WorkClock();
  const suite = suiteOf([clock.contender('one', 1, { role: 'baseline' }), clock.contender('two', 2)]);
  const { cases } = await runSuite(suite, { rounds: 5, slice: clock.slice });
  expect(cases[0]?.contenders).toMatchObject([
    { name: 'one', time: { median: 1000 }, ratio: { p25: 1, median: 1, p75: 1 } },
    { name: 'two', time: { median: 2000 }, ratio: { p25: 2, median: 2, p75: 2 }, meanRatio: { median: 2 } },
  ]);
});

test('ratios are taken within a round: a machine that gets slower does not move them', async () => {
  const clock = new WorkClock();
  const contenders = [clock.contender('one', 1, { role: 'baseline' }), clock.contender('three', 3)];
  let slices = 0;
  const slower = async (run: () => unknown) => {
    const { median } = await clock.slice(run);
    const time = median * 2 ** Math.floor(slices++ / contenders.length);
    return { median: time, mean: time };
  };
  const result = await measureCase({ name: 'small', contenders }, { rounds: 7, slice: slower });
  expect(result.contenders[1]?.ratio).toEqual({ p25: 3, median: 3, p75: 3 });
});

test('the first round warms up and does not count', async () => {
  let slices = 0;
  const result = await measureCase(
    { name: 'small', contenders: [new WorkClock().contender('one', 1, { role: 'baseline' })] },
    { rounds: 3, slice: async () => ({ median: slices++ === 0 ? 1e9 : 1, mean: 1 }) },
  );
  expect(slices).toBe(4);
  expect(result.contenders[0]?.time).toEqual({ p25: 1, median: 1, p75: 1 });
});

test('rounds and cases are reported as they pass', async () => {
  const clock = new WorkClock();
  const heard: string[] = [];
  await runSuite(suiteOf([clock.contender('one', 1, { role: 'baseline' })]), {
    rounds: 2,
    slice: clock.slice,
    onCase: (suite, item) => heard.push(`${suite.name} ${item.name}`),
    onRound: (round, rounds) => heard.push(`${round}/${rounds}`),
  });
  expect(heard).toEqual(['fake small', '1/2', '2/2']);
});

test('every contender has every place in the order, and none is lost', () => {
  const orders = [0, 1, 2, 3, 4, 5].map((round) => orderOf(['a', 'b', 'c'], round).join(''));
  expect(orders).toEqual(['abc', 'acb', 'cab', 'cba', 'bca', 'bac']);
});

test('a wrong contender is found before anything is measured', async () => {
  const clock = new WorkClock();
  const wrong: Contender = clock.contender('liar', 1, { run: () => 'something else' });
  const suite = suiteOf([clock.contender('one', 1, { role: 'baseline' }), wrong]);
  const slice = () => Promise.reject(new Error('measured'));
  await expect(runSuite(suite, { rounds: 1, slice })).rejects.toThrow('fake, small: "liar" returned a wrong result.');
});

test.for<[string, unknown, () => unknown]>([
  ['a promise of a wrong result', 'done', async () => 'no'],
  ['the input handed back', ...handedBack()],
  ['bytes that differ in one', Buffer.from([1, 2]), () => Buffer.from([1, 3])],
])('the check refuses %s', async ([, expected, run]) => {
  const contenders: Contender[] = [{ name: 'one', role: 'baseline', expected, run }];
  await expect(checkCase('fake', { name: 'small', contenders })).rejects.toThrow('wrong result');
});

test('the check accepts a promise of an equal value', async () => {
  const contenders: Contender[] = [
    { name: 'one', role: 'baseline', expected: { a: ['b'] }, run: async () => ({ a: ['b'] }) },
  ];
  await expect(checkCase('fake', { name: 'small', contenders })).resolves.toBeUndefined();
});

test('ciphertext is restored before it is compared, and outside what is timed', async () => {
  const sealed = {
    expected: 'done',
    run: () => 'enod',
    restore: async (text: unknown) => [...String(text)].toReversed().join(''),
  };
  const check = (one: Partial<Contender>) =>
    checkCase('fake', { name: 'small', contenders: [{ name: 'one', role: 'baseline', ...sealed, ...one }] });
  await expect(check({})).resolves.toBeUndefined();
  await expect(check({ run: () => 'done' })).rejects.toThrow('wrong result');
  const value = { a: 'b' };
  const copied = { expected: value, restore: (result: unknown) => ({ ...(result as object) }) };
  await expect(check({ ...copied, run: () => ({ a: 'b' }) })).resolves.toBeUndefined();
  await expect(check({ ...copied, run: () => value })).rejects.toThrow('wrong result');
});

test('a case has exactly one baseline', async () => {
  const clock = new WorkClock();
  const one = clock.contender('one', 1, { role: 'baseline' });
  const check = (contenders: Contender[]) => checkCase('fake', { name: 'small', contenders });
  await expect(check([clock.contender('two', 2)])).rejects.toThrow('0 baselines');
  await expect(check([one, one])).rejects.toThrow('2 baselines');
});

function handedBack(): [unknown, () => unknown] {
  const value = { a: 'b' };
  return [value, () => value];
}
