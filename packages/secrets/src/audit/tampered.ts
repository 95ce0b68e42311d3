import { SecretsError } from '../errors.ts';
import { MissingHashes } from './tree/nodes.ts';

/** Hashes that are not where they must be were removed. */
export async function orTampered<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MissingHashes) throw new SecretsError('ERR_SECRETS_AUDIT_TAMPERED', { cause: error });
    throw error;
  }
}
