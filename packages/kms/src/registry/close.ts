import { isKeywrightError } from '@keywright/envelope';
import { KmsError } from '../errors.ts';
import type { KmsProvider } from '../provider.ts';

const TIMEOUT_MS = 10_000;

/**
 * Closes all at once, each whatever the others do.
 * @throws KmsError of the one that could not be closed or took more than 10 seconds; AggregateError of several
 */
export async function closeAll(providers: readonly KmsProvider[]): Promise<void> {
  const results = await Promise.allSettled(providers.map(closeOne));
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, 'Several KMS providers could not be closed. See errors.');
}

async function closeOne(provider: KmsProvider): Promise<void> {
  const context = { provider: provider.id, operation: 'close' };
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new KmsError('ERR_KMS_TIMEOUT', { context })), TIMEOUT_MS);
  try {
    await Promise.race([(async () => await provider.close())(), late]);
  } catch (error) {
    throw isKeywrightError(error) ? error : new KmsError('ERR_KMS_BACKEND', { context, cause: error });
  } finally {
    clearTimeout(timer);
  }
}
