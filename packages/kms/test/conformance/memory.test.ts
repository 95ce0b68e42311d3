import { defineProvider } from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { MEMORY_CAPABILITIES, memoryDriver, newMemory, publicOf } from '../support/memory-driver.ts';

kmsConformance('in memory', {
  capabilities: MEMORY_CAPABILITIES,
  async start() {
    const memory = newMemory();
    const provider = defineProvider(memoryDriver(memory), { id: 'mem' });
    return {
      provider,
      secrets: ['a-token-of-the-backend'],
      backendCalls: () => memory.calls,
      backendPublicKey: async ({ externalId }) => publicOf(memory.keys.get(externalId)?.privateKey as never),
      unreachable() {
        const silent = {
          ...memoryDriver(),
          probe: () => new Promise<never>(() => {}),
          sign: () => new Promise<never>(() => {}),
        };
        return defineProvider(silent, { id: 'down', attemptTimeoutMs: 200 });
      },
      dispose: () => provider.close(),
    };
  },
});
