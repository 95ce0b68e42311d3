import { describeOnAwsKms } from '@keywright/testkit/aws';
import { expect, it, onTestFinished } from 'vitest';
import { custodyPlace } from '../../kms/test/support/custody-search.ts';
import { REGION, ROOT } from './support.ts';

describeOnAwsKms('custody', (server) => {
  it('a process that signs with AWS KMS holds no private key, nor do its rows, logs and errors', async () => {
    const place = custodyPlace();
    onTestFinished(place.remove);
    const subject = await place.start({
      module: new URL('../dist/index.js', import.meta.url).href,
      factory: 'awsKmsProvider',
      options: {
        id: 'aws',
        region: REGION,
        endpoint: server().url,
        ...ROOT,
        attemptTimeoutMs: 25_000,
        timeoutMs: 30_000,
      },
      algs: ['ES256', 'ES512', 'EdDSA'],
    });
    expect(subject.strings).toBeGreaterThan(10_000);
    expect(subject.find([])).toEqual([]);
  });
});
