import * as main from '@keywright/kms';
import * as conformance from '@keywright/kms/conformance';
import { expect, it } from 'vitest';

it('exports these names and no others', () => {
  expect(Object.keys(main).sort()).toEqual([
    'KmsError',
    'SIGN_ALGORITHMS',
    'SIGN_ALGS',
    'contextBytes',
    'createKmsKeys',
    'createKmsRegistry',
    'dbProvider',
    'dbProviderType',
    'defineProvider',
    'derToRaw',
    'formatPkcs11Uri',
    'httpProvider',
    'httpProviderType',
    'joinKeyWrappers',
    'kmsJsonSchema',
    'kmsKeyWrapper',
    'kmsMigrationSource',
    'loadKmsRegistry',
    'migrateKmsTables',
    'parsePkcs11Uri',
    'publicJwkOf',
    'publicJwks',
    'rawToDer',
    'rewrapSoftwareKeys',
    'signJws',
    'signJwsFlattened',
    'summarize',
    'thumbprint',
    'vaultProvider',
    'vaultProviderType',
    'verifySignature',
  ]);
  expect(Object.keys(conformance).sort()).toEqual(['kmsConformance', 'nameOf']);
});
