import { KmsError } from '../errors.ts';

// What a TLS server says of a client's certificate, as OpenSSL names it: absent, expired, of an unknown authority …
const REFUSED_CERTIFICATE =
  /^ERR_SSL_.*ALERT_(?:CERTIFICATE_|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|NO_CERTIFICATE|ACCESS_DENIED)/;
const TLS = /CERT|SIGNED|ERR_TLS|ERR_SSL|UNABLE_TO|EPROTO/;

/**
 * What a failed exchange means. Of the two sides of a TLS handshake, a client that is refused has to correct its
 * certificate; a server that is not trusted is not reached, and asking again would not help.
 */
export function networkError(cause: unknown): KmsError {
  const { code } = Object(cause) as { code?: unknown };
  const name = typeof code === 'string' ? code : '';
  if (REFUSED_CERTIFICATE.test(name)) return new KmsError('ERR_KMS_CREDENTIALS', { cause });
  if (name.startsWith('HPE_')) {
    return new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'HTTP' }, cause });
  }
  if (TLS.test(name)) {
    const context = { expected: 'TLS with a certificate of a trusted authority' };
    return new KmsError('ERR_KMS_UNAVAILABLE', { retryable: false, context, cause });
  }
  return new KmsError('ERR_KMS_UNAVAILABLE', { cause });
}
