import { createHash, createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type KmsKeyRef, type KmsProvider, type VaultProviderOptions, vaultProvider } from '@keywright/kms';
import type { TestVault, VaultSuite } from '@keywright/testkit/vault';

const RECORDINGS = new URL('../recordings/vault/', import.meta.url);

/** A suite that is recorded under this name. */
export function recorded(name: string, ...needs: readonly string[]): VaultSuite {
  return { name, recordings: RECORDINGS, needs };
}

/** A provider on the server that a suite works with, as its administrator unless another way to log in is given. */
export function providerOn(vault: TestVault, over: Partial<VaultProviderOptions> = {}): KmsProvider {
  const token = over.auth === undefined ? { vaultToken: vault.token() } : {};
  return vaultProvider({ id: 'vault', vaultUrl: vault.url(), mountPrefix: vault.prefix, ...token, ...over });
}

/** 32 hexadecimal digits that are the same in every run. */
export function nameOf(label: string): string {
  return createHash('sha256').update(label).digest('hex').slice(0, 32);
}

/** The mount of a tenant, worked out here once more. */
export function mountOf(vault: TestVault, tenantId: string): string {
  return `${vault.prefix}/${nameOf(tenantId)}`;
}

/** The public key of a key as Vault itself shows it to an administrator. */
export async function publicKeyAt(vault: TestVault, { tenantId, externalId }: KmsKeyRef): Promise<JsonWebKey> {
  const { data } = await vault.admin('GET', `${mountOf(vault, tenantId)}/keys/${externalId}`);
  const publicKey = (data.keys as Record<string, { readonly public_key: string }>)['1']?.public_key ?? '';
  if (data.type !== 'ed25519') return createPublicKey(publicKey).export({ format: 'jwk' });
  return { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'base64').toString('base64url') };
}

/** Makes a policy and a token that may do what it says and nothing else. */
export async function tokenWith(
  vault: TestVault,
  label: string,
  policy: string,
  over: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const name = `${vault.prefix}-${label}`;
  await vault.admin('POST', `sys/policies/acl/${name}`, { policy });
  const body = { policies: [name], no_default_policy: true, no_parent: true, ...over };
  const { auth } = await vault.admin('POST', 'auth/token/create', body);
  return auth.client_token as string;
}

/** The policies of the README, word for word but for where the suite has its mounts. */
export function policyOf(vault: TestVault, ...parts: readonly ('signing' | 'mounts')[]): string {
  const [signing = '', mounts = ''] = policies();
  const texts = { signing, mounts };
  return parts.map((part) => texts[part].replaceAll('keywright/', `${vault.prefix}/`)).join('\n');
}

/** As {@link policyOf}, for the one key that wraps. */
export function wrappingPolicyOf(externalId: string): string {
  const [mount, key] = externalId.split('/');
  const wrapping = policies()[2] ?? '';
  return wrapping.replaceAll('secrets/', `${mount}/`).replaceAll('root-2026-11', `${key}`);
}

function policies(): readonly string[] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const found = [...readme.matchAll(/^```hcl\n(.*?)^```/gms)].map(([, text = '']) => text);
  if (found.length !== 3) throw new Error('The README has other policies than it had.');
  return found;
}

/** The error that a call is refused with; one that succeeds fails the test. */
export async function refusal(call: Promise<unknown>): Promise<Error & { code?: string; context?: object }> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Error) return error;
  throw new Error('expected a rejection');
}

/** A tenant's mount with its wrapping key, which takes a server seconds to make: more than a call waits for. */
export async function withWrappingKeyOf(vault: TestVault, tenantId: string): Promise<void> {
  await vault.admin('POST', `sys/mounts/${mountOf(vault, tenantId)}`, { type: 'transit' });
  await vault.admin('GET', `${mountOf(vault, tenantId)}/wrapping_key`);
}
