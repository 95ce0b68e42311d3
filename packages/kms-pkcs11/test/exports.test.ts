import * as kmsPkcs11 from '@keywright/kms-pkcs11';
import { expect, it } from 'vitest';

it('exports a provider and its type', () => {
  expect(Object.keys(kmsPkcs11).sort()).toEqual(['pkcs11Provider', 'pkcs11ProviderType']);
});
