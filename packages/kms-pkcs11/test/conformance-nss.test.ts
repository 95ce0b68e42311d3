import { kmsConformance } from '@keywright/kms/conformance';
import { tokenKinds } from '@keywright/testkit/hsm';
import { COMMON_ALGS, harnessOn } from './conformance-harness.ts';

for (const kind of tokenKinds('NSS')) kmsConformance('pkcs11 on NSS', harnessOn(kind, COMMON_ALGS));
