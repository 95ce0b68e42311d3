import { tokenKinds } from '@keywright/testkit/hsm';
import { expect, it, onTestFinished } from 'vitest';
import { custodyPlace } from '../../kms/test/support/custody-search.ts';
import { optionsOn } from './harness.ts';

it.each(tokenKinds())(
  'a process that signs with $name holds no private key, nor do its rows, logs and errors',
  async ({ start }) => {
    const token = await start();
    const place = custodyPlace();
    onTestFinished(async () => {
      place.remove();
      await token.stop();
    });
    const subject = await place.start({
      module: new URL('../dist/index.js', import.meta.url).href,
      factory: 'pkcs11Provider',
      options: { ...optionsOn(token) },
      algs: ['ES256', 'ES384', 'PS256'],
    });
    expect(subject.strings).toBeGreaterThan(10_000);
    expect(subject.find([])).toEqual([]);
  },
);
