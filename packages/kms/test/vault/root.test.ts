import { randomBytes } from 'node:crypto';
import { keyWrapperConformance } from '@keywright/envelope/conformance';
import { kmsKeyWrapper, vaultProvider, type WrappingKeyRef } from '@keywright/kms';
import { describeOnVault, type TestVault } from '@keywright/testkit/vault';
import { rootInKmsTests } from '../support/root-in-kms.ts';
import { providerOn, recorded, tokenWith } from './support.ts';

const mountOf = (vault: TestVault): string => `${vault.prefix}-wrapping`;

/** What a store needs of Transit, and no more. */
const policyOf = (vault: TestVault): string => `
path "${mountOf(vault)}/encrypt/*" { capabilities = ["update"] }
path "${mountOf(vault)}/decrypt/*" { capabilities = ["update"] }
`;

async function wrappingKey(vault: TestVault, name: string): Promise<WrappingKeyRef> {
  await vault.admin('POST', `sys/mounts/${mountOf(vault)}`, { type: 'transit' });
  await vault.admin('POST', `${mountOf(vault)}/keys/${name}`, { type: 'aes256-gcm96' });
  return { externalId: `${mountOf(vault)}/${name}` };
}

describeOnVault('a root key in Vault', recorded('root'), (vault) => {
  rootInKmsTests('Vault', {
    // What is recorded is known for the tenant keys of the frozen database; new ones are random.
    newTenants: false,
    async start() {
      const token = await tokenWith(vault, 'store', policyOf(vault));
      const provider = providerOn(vault, { auth: { token } });
      return {
        provider,
        keys: [await wrappingKey(vault, 'first'), await wrappingKey(vault, 'second')],
        unreachable: () => vaultProvider({ id: 'vault', vaultUrl: 'http://127.0.0.1:9', vaultToken: vault.token() }),
        async forbid() {
          const policy = `sys/policies/acl/${vault.prefix}-store`;
          await vault.admin('POST', policy, { policy: `path "${mountOf(vault)}/*" { capabilities = ["deny"] }` });
          return async () => void (await vault.admin('POST', policy, { policy: policyOf(vault) }));
        },
        secrets: [token],
        dispose: () => provider.close(),
      };
    },
  });
});

describeOnVault('a key wrapper on Vault', recorded('key-wrapper'), (vault) => {
  keyWrapperConformance('vault', async () => {
    const provider = providerOn(vault);
    const [a, b, c] = [await wrappingKey(vault, 'a'), await wrappingKey(vault, 'b'), await wrappingKey(vault, 'c')];
    return {
      wrapper: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'a' }),
      otherKid: 'b',
      rotated: kmsKeyWrapper({ provider, keys: { a, b }, activeKid: 'b' }),
      narrower: kmsKeyWrapper({ provider, keys: { b }, activeKid: 'b' }),
      impostor: kmsKeyWrapper({ provider, keys: { a: c }, activeKid: 'a' }),
      secrets: [vault.token()],
      dispose: () => provider.close(),
    };
  });
});

const address = process.env.KEYWRIGHT_TEST_VAULT_ADDR ?? '';
const token = process.env.KEYWRIGHT_TEST_VAULT_TOKEN ?? '';

// New tenants, and a key of the provider's own making: what cannot be recorded.
if (address !== '' && !process.env.KEYWRIGHT_VAULT_RECORD) {
  rootInKmsTests('Vault (live, with new tenants)', {
    engines: ['sqlite', 'postgres'],
    async start() {
      const mountPrefix = `kw-test-live-${randomBytes(4).toString('hex')}`;
      const admin = async (method: string, path: string, body?: object): Promise<Response> =>
        await fetch(`${address}/v1/${path}`, {
          method,
          headers: { 'x-vault-token': token },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      const maker = vaultProvider({ id: 'vault', vaultUrl: address, vaultToken: token, mountPrefix });
      const keys = [await maker.createWrappingKey(), await maker.createWrappingKey()] as const;
      await maker.close();
      const mount = keys[0].externalId.split('/')[0] ?? '';
      const policy = `sys/policies/acl/${mountPrefix}`;
      const allow = { policy: `path "${mount}/+/*" { capabilities = ["update"] }` };
      await admin('POST', policy, allow);
      const answer = await admin('POST', 'auth/token/create', { policies: [mountPrefix], no_default_policy: true });
      const { auth } = (await answer.json()) as { readonly auth: { readonly client_token: string } };
      const provider = vaultProvider({ id: 'vault', vaultUrl: address, vaultToken: auth.client_token, mountPrefix });
      return {
        provider,
        keys,
        unreachable: () => vaultProvider({ id: 'vault', vaultUrl: 'http://127.0.0.1:9', vaultToken: token }),
        async forbid() {
          await admin('POST', policy, { policy: `path "${mount}/*" { capabilities = ["deny"] }` });
          return async () => void (await admin('POST', policy, allow));
        },
        secrets: [auth.client_token],
        async dispose() {
          await provider.close();
          await admin('DELETE', `sys/mounts/${mount}`);
          await admin('DELETE', policy);
        },
      };
    },
  });
}
