export { type KmsHarness, type KmsSetup, nameOf } from './harness.ts';
export { kmsConformance } from './provider.ts';
