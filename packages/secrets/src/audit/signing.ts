import { verify } from 'node:crypto';
import { SecretsError } from '../errors.ts';
import { publicKeyOf } from './note.ts';
import type { AuditSigner } from './signer.ts';

const TIMEOUT_MS = 10_000;

/**
 * The signer's signature of a message, checked: one under another key would make the checkpoint worthless, and nobody
 * would notice before the audit.
 *
 * @throws SecretsError `ERR_SECRETS_SIGNER_UNAVAILABLE`, `ERR_SECRETS_ABORTED`
 */
export async function signedBy(
  signer: AuditSigner,
  message: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const ended = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const signing = async (): Promise<Uint8Array> => await signer.sign(message, { signal: ended });
  const signature = await Promise.race([signing(), aborted(ended)]).catch((error: unknown) => {
    if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED', { cause: error });
    throw unavailable(signer, error);
  });
  if (!isSignature(signature) || !verify(null, message, publicKeyOf(signer.publicKey), signature)) {
    throw unavailable(signer, undefined);
  }
  return signature;
}

function isSignature(signature: unknown): signature is Uint8Array {
  return signature instanceof Uint8Array && signature.byteLength === 64;
}

async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  throw signal.reason;
}

function unavailable({ name }: AuditSigner, cause: unknown): SecretsError {
  return new SecretsError('ERR_SECRETS_SIGNER_UNAVAILABLE', { context: { keyId: name }, cause, retryable: true });
}
