import { afterAll, describe, expect, test } from 'vitest';
import { checkCase } from '../src/check.ts';
import { Fixtures } from '../src/fixtures.ts';
import { PAYLOAD_SIZES } from '../src/sizes.ts';
import { selectSuites, suites, timedSuites } from '../src/suites/index.ts';

describe.for(timedSuites)('$name', (suite) => {
  afterAll(() => suite.close?.());

  test('all contenders are correct', async () => {
    for (const item of await suite.cases()) await checkCase(suite.name, item);
  });

  test('cases differ in name, and so do the contenders of a case', async () => {
    const cases = await suite.cases();
    for (const names of [cases, ...cases.map((item) => item.contenders)].map((items) =>
      items.map(({ name }) => name),
    )) {
      expect(new Set(names).size).toBe(names.length);
    }
  });
});

test('suites are selected by name, in their own order; none means all', () => {
  expect(selectSuites([])).toBe(suites);
  expect(selectSuites(['envelope-bytes', 'envelope-object']).map(({ name }) => name)).toEqual([
    'envelope-object',
    'envelope-bytes',
  ]);
  expect(() => selectSuites(['envelope-objects'])).toThrow('No suite "envelope-objects". Suites: envelope-object,');
});

test.for(PAYLOAD_SIZES)('credentials of $name are exactly that long and always the same', ({ bytes }) => {
  const json = JSON.stringify(new Fixtures(7).credentials(bytes));
  expect(Buffer.byteLength(json)).toBe(bytes);
  expect(JSON.stringify(new Fixtures(7).credentials(bytes))).toBe(json);
  expect(JSON.stringify(new Fixtures(8).credentials(bytes))).not.toBe(json);
});
