import * as main from '@keywright/envelope';
import * as aesKwp from '@keywright/envelope/aes-kwp';
import * as compat from '@keywright/envelope/compat';
import * as conformance from '@keywright/envelope/conformance';
import { expect, it } from 'vitest';

it('exports these names and no others', () => {
  expect(Object.keys(main).sort()).toEqual([
    'EnvelopeError',
    'KeyringError',
    'KeywrightError',
    'createKeyring',
    'decryptBytesOnce',
    'generateKeyBase64',
    'inspectEnvelope',
    'isEncrypted',
    'isKeywrightError',
    'keyringFromEnv',
    'rawCause',
  ]);
  expect(Object.keys(compat).sort()).toEqual([
    'decryptCredentials',
    'encryptCredentials',
    'generateKeyBase64',
    'isEncrypted',
    'keyringFromEnv',
  ]);
  expect(Object.keys(conformance).sort()).toEqual([
    'keySourceConformance',
    'keyWrapperConformance',
    'keyringConformance',
    'rowSourceConformance',
    'suiteConformance',
  ]);
  expect(Object.keys(aesKwp).sort()).toEqual(['aesKwpUnwrap', 'aesKwpWrap']);
});
