import * as kmsAws from '@keywright/kms-aws';
import { expect, it } from 'vitest';

it('exports a provider and its type', () => {
  expect(Object.keys(kmsAws).sort()).toEqual(['awsKmsProvider', 'awsKmsProviderType']);
});
