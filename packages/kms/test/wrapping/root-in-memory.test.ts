import { defineProvider, KmsError } from '@keywright/kms';
import { memoryDriver, newMemory } from '../support/memory-driver.ts';
import { rootInKmsTests } from '../support/root-in-kms.ts';

rootInKmsTests('a KMS in memory', {
  engines: ['sqlite', 'postgres'],
  async start() {
    const memory = newMemory();
    const provider = defineProvider(memoryDriver(memory), { id: 'mem', retries: 0 });
    const keys = [await provider.createWrappingKey(), await provider.createWrappingKey()] as const;
    return {
      provider,
      keys,
      unreachable() {
        const away = (): Promise<never> => Promise.reject(new KmsError('ERR_KMS_UNAVAILABLE'));
        return defineProvider({ ...memoryDriver(), wrapKey: away, unwrapKey: away }, { id: 'mem' });
      },
      async forbid() {
        const { externalId } = keys[0];
        const key = memory.wrapping.get(externalId);
        memory.wrapping.delete(externalId);
        return async () => void memory.wrapping.set(externalId, key as never);
      },
      dispose: () => provider.close(),
    };
  },
});
