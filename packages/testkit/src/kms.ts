export { makeCertificates, type TestCertificate, type TestCertificates } from './certificates.ts';
export type { RemoteKeys } from './remote-keys.ts';
export {
  type RemoteKms,
  type RemoteKmsAnswer,
  type RemoteKmsAuth,
  type RemoteKmsOptions,
  type RemoteKmsRequest,
  startRemoteKms,
} from './remote-kms.ts';
