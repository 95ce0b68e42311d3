import { vaultProvider } from '@keywright/kms';
import { kmsConformance, nameOf } from '@keywright/kms/conformance';
import { describeOnVault } from '@keywright/testkit/vault';
import { VAULT_CAPABILITIES } from '../../src/providers/vault/driver.ts';
import { providerOn, publicKeyAt, recorded, withWrappingKeyOf } from './support.ts';

describeOnVault('Vault', recorded('conformance'), (vault) => {
  kmsConformance('vault', {
    capabilities: VAULT_CAPABILITIES,
    async start() {
      const provider = providerOn(vault);
      await vault.admin('POST', `sys/mounts/${vault.prefix}-wrapping`, { type: 'transit' });
      await withWrappingKeyOf(vault, 'conformance-a');
      return {
        provider,
        secrets: [vault.token()],
        names: nameOf,
        wrappingKey: async (label) => {
          const externalId = `${vault.prefix}-wrapping/${nameOf(label)}`;
          await vault.admin('POST', externalId.replace('/', '/keys/'), { type: 'aes256-gcm96' });
          return { externalId };
        },
        backendPublicKey: (key) => publicKeyAt(vault, key),
        backendCalls: () => vault.requests().length,
        unreachable: () => vaultProvider({ id: 'down', vaultUrl: 'http://127.0.0.1:1', vaultToken: vault.token() }),
        dispose: () => provider.close(),
      };
    },
  });
});
