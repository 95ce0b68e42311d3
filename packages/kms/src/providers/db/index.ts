export { type DbProviderOptions, dbProvider, dbProviderType } from './db-provider.ts';
export {
  type RewrappedSoftwareKeys,
  type RewrapSoftwareKeysOptions,
  rewrapSoftwareKeys,
} from './rewrap-software-keys.ts';
