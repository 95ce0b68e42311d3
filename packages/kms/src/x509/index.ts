// @peculiar/x509 does not load without this polyfill.
import 'reflect-metadata';

export { type CsrInput, createCsr } from './csr.ts';
export { distinguishedName, type NameAttributes } from './distinguished-name.ts';
export {
  type KmsSigner,
  kmsSigner,
  type X509Crypto,
  type X509KeyPair,
  type X509SigningAlgorithm,
} from './kms-signer.ts';
