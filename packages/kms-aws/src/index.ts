export type { AwsKmsClient } from './client.ts';
export type { AwsKmsProviderOptions } from './options.ts';
export { awsKmsProvider } from './provider.ts';
export { awsKmsProviderType } from './type.ts';
