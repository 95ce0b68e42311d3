import { isKeywrightError } from '@keywright/envelope';
import {
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  type Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
} from '@peculiar/x509';
import { invalidArgument, kindOf, readOptions } from '../arguments.ts';
import type { CallOptions, KmsKey, KmsKeyRef, KmsProvider } from '../provider.ts';
import { distinguishedName, type NameAttributes } from './distinguished-name.ts';
import { kmsSigner } from './kms-signer.ts';

/** What {@link createCsr} asks a certificate for. */
export interface CsrInput {
  /** The subject. Values are taken as they are, whatever characters they have. */
  readonly name: NameAttributes;
  /**
   * Extensions that are asked for, such as alternative names.
   * @default key usage `digitalSignature`, critical; added where no other key usage is among them
   */
  readonly extensions?: readonly Extension[] | undefined;
}

const KEY_USAGE = '2.5.29.15';
/** What a key that signs is for. The others are of keys that encrypt or agree on a key. */
const SIGNING_USAGES =
  KeyUsageFlags.digitalSignature | KeyUsageFlags.nonRepudiation | KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;

/**
 * A PKCS #10 request for a certificate of a key, signed with it.
 *
 * A module that imports `@peculiar/x509` itself imports this one first, or `reflect-metadata`, which the library needs.
 *
 * @returns the request; `.toString('pem')` is what an authority takes
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for a name that cannot be, or a key usage that is not of signatures; and as
 * {@link KmsProvider.sign}
 *
 * @example
 * ```ts
 * import type { KmsKey, KmsProvider } from '@keywright/kms';
 * import { createCsr } from '@keywright/kms/x509';
 *
 * export async function request(provider: KmsProvider, key: KmsKey): Promise<string> {
 *   const csr = await createCsr(provider, key, { name: { O: 'Acme, Inc.', CN: 'invoices' } });
 *   return csr.toString('pem');
 * }
 * ```
 */
export async function createCsr(
  provider: Pick<KmsProvider, 'sign' | 'getPublicKey'>,
  key: KmsKey | KmsKeyRef,
  input: CsrInput,
  options?: CallOptions,
): Promise<Pkcs10CertificateRequest> {
  const { name, extensions } = readOptions(input, 'input', (given) => ({
    name: distinguishedName(given.name as NameAttributes),
    extensions: withKeyUsage(given.extensions ?? []),
  }));
  const { crypto, keys, signingAlgorithm } = await kmsSigner(provider, key, options);
  try {
    return await Pkcs10CertificateRequestGenerator.create({ name, extensions, keys, signingAlgorithm }, crypto);
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    // What else can fail is the encoding of what was given.
    throw invalidArgument('input', 'a name and extensions that can be encoded', 'others');
  }
}

function withKeyUsage(extensions: readonly Extension[]): Extension[] {
  if (!Array.isArray(extensions)) throw invalidArgument('extensions', 'an array of extensions', kindOf(extensions));
  const usages = extensions.filter((extension: Extension) => extension?.type === KEY_USAGE);
  for (const usage of usages) {
    const { usages: flags } = usage instanceof KeyUsagesExtension ? usage : new KeyUsagesExtension(usage.rawData);
    if ((flags & ~SIGNING_USAGES) !== 0) throw invalidArgument('extensions', 'key usages of signatures', 'another');
  }
  if (usages.length > 0) return [...extensions];
  return [...extensions, new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true)];
}
