import { expect } from 'vitest';
import { bytes, expectRefusal, type Theme } from './harness.ts';

/** The last theme: afterwards the provider is closed. */
export const closing: Theme = () => [
  {
    title: 'a closed provider refuses everything, and is closed twice without a complaint',
    async run(subject) {
      const { provider } = subject;
      const { capabilities } = provider;
      const key = await subject.key('closed');
      await provider.getPublicKey(key);
      await Promise.all([provider.close(), provider.close()]);
      await provider.close();
      const refused = (call: Promise<unknown>): Promise<unknown> => expectRefusal(call, 'ERR_KMS_CLOSED');
      await refused(provider.sign(key, bytes(8)));
      await refused(provider.getPublicKey(key));
      await refused(provider.createKey(subject.input('after the end')));
      if (capabilities.deleteKey !== 'never') await refused(provider.deleteKey(key));
      if (capabilities.listKeys) await refused(provider.listKeys({ tenantId: key.tenantId }));
      if (capabilities.exportKey) await refused(provider.exportKey(key));
      if (capabilities.wrapKey) {
        await refused(provider.createWrappingKey());
        await refused(provider.wrapKey({ externalId: 'x' }, bytes(32), { purpose: 'conformance' }));
        await refused(provider.unwrapKey({ externalId: 'x' }, bytes(60), { purpose: 'conformance' }));
      }
      expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_CLOSED' });
    },
  },
];
