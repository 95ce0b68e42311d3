import { expect } from 'vitest';
import { bytes, refusal, type Theme } from './harness.ts';
import { expectSignature, isSignatureOf } from './verification.ts';

/** Keys of tenants do not meet. */
export const tenants: Theme = ({ tenantsApart = true }) => [
  {
    title: 'two tenants have keys of the same id that never meet',
    async run(subject) {
      const [first, second] = subject.tenants('same id');
      const name = (label: string): string | undefined => subject.setup.names?.(label);
      const a = await subject.provider.createKey({ tenantId: first, keyId: 'same', name: name('same id/0') });
      const b = await subject.provider.createKey({ tenantId: second, keyId: 'same', name: name('same id/1') });
      expect(a.publicJwk).not.toEqual(b.publicJwk);
      const data = bytes(64);
      for (const [own, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const signature = await subject.provider.sign(own, data);
        await expectSignature(own.alg, own.publicJwk, data, signature);
        expect(isSignatureOf(own.alg, { ...other.publicJwk }, data, signature)).toBe(false);
        expect(await subject.provider.getPublicKey(own)).toEqual(own.publicJwk);
      }
      if (subject.provider.capabilities.deleteKey === 'never') return;
      await subject.provider.deleteKey(a);
      await expectSignature(b.alg, b.publicJwk, data, await subject.provider.sign(b, data));
    },
  },
  {
    title: tenantsApart
      ? "a tenant's key does nothing for another tenant"
      : "a tenant's key under another tenant's name is not that tenant's key",
    async run(subject) {
      const [first, second] = subject.tenants('foreign');
      const name = (label: string): string | undefined => subject.setup.names?.(label);
      const a = await subject.provider.createKey({ tenantId: first, keyId: 'same', name: name('foreign/0') });
      const b = await subject.provider.createKey({ tenantId: second, keyId: 'same', name: name('foreign/1') });
      const moved = { ...a, tenantId: second };
      const data = bytes(65);
      if (!tenantsApart) {
        const signature = await subject.provider.sign(moved, data).catch(() => undefined);
        if (signature !== undefined) {
          expect(isSignatureOf(b.alg, { ...b.publicJwk }, data, signature)).toBe(false);
        }
        return;
      }
      expect((await refusal(subject.provider.sign(moved, data))).code).toBe('ERR_KMS_KEY_NOT_FOUND');
      expect((await refusal(subject.provider.getPublicKey(moved))).code).toBe('ERR_KMS_KEY_NOT_FOUND');
      if (subject.provider.capabilities.deleteKey !== 'never') {
        await subject.provider.deleteKey(moved).catch(() => undefined);
      }
      await expectSignature(a.alg, a.publicJwk, data, await subject.provider.sign(a, data));
    },
  },
];
