export {
  type KeySourceCondition,
  type KeySourceContent,
  type KeySourceHarness,
  keySourceConformance,
  type PreparedKeySource,
} from './key-source.ts';
export { type KeyWrapperSetup, keyWrapperConformance } from './key-wrapper.ts';
export { keyringConformance } from './keyring.ts';
export { type RowSourceConformanceOptions, type RowSourceHarness, rowSourceConformance } from './row-source.ts';
export { type SuiteConformanceOptions, suiteConformance } from './suite.ts';
