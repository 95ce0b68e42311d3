import { describeOnVault } from '@keywright/testkit/vault';
import { expect, it, onTestFinished } from 'vitest';
import { custodyPlace } from '../support/custody-search.ts';
import { nameOf, recorded } from './support.ts';

describeOnVault('custody', recorded('custody'), (vault) => {
  it('a process that signs with Vault holds no private key, nor do its rows, logs and errors', async () => {
    const place = custodyPlace();
    onTestFinished(place.remove);
    const algs = ['ES256', 'EdDSA', 'PS256'] as const;
    const subject = await place.start({
      module: new URL('../../dist/index.js', import.meta.url).href,
      factory: 'vaultProvider',
      options: { id: 'vault', vaultUrl: vault.url(), vaultToken: vault.token(), mountPrefix: vault.prefix },
      algs,
      // The same in every run, so that what is asked can be recorded.
      names: algs.map((alg) => nameOf(`custody ${alg}`)),
    });
    expect(subject.strings).toBeGreaterThan(10_000);
    expect(subject.find([])).toEqual([]);
  });
});
