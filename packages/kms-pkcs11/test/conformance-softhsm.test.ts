import { kmsConformance } from '@keywright/kms/conformance';
import { tokenKinds } from '@keywright/testkit/hsm';
import { COMMON_ALGS, harnessOn } from './conformance-harness.ts';

for (const kind of tokenKinds('SoftHSM'))
  kmsConformance('pkcs11 on SoftHSM', harnessOn(kind, [...COMMON_ALGS, 'EdDSA']));
