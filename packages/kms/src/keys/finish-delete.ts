import type { CallOptions, KmsProvider } from '../provider.ts';
import { refOf } from './key-record.ts';
import { aboutKey, codeOf } from './outcome.ts';
import type { Place, Places } from './places.ts';

/**
 * Deletes in its backend what the database says is to be deleted, then forgets it. Safe to do twice and by several at
 * once: a key that is gone is deleted.
 * @throws KmsError the backend's; the row stays and says how often it failed
 */
export async function finishDelete(
  places: Places,
  place: Place,
  provider: KmsProvider,
  options: CallOptions,
): Promise<void> {
  const ref = refOf(place.row);
  try {
    await provider.deleteKey(ref, options);
  } catch (error) {
    // The failure that is thrown is the backend's, whatever the database says to its being recorded.
    await places.failed(place, codeOf(error)).catch(() => undefined);
    throw aboutKey(error, ref, 'delete', { state: 'deleting' });
  }
  await places.drop(place, 'deleting');
}
