import { type DriverCall, KmsError } from '@keywright/kms';
import { request } from './calls.ts';
import type { AwsKmsClient } from './client.ts';

/** The shortest that AWS allows. */
const WINDOW_DAYS = 7;
const UNDO_MS = 2_000;
const GOING: ReadonlySet<string | undefined> = new Set(['PendingDeletion', 'PendingReplicaDeletion']);

/**
 * Schedules the deletion of a key, which stops it signing at once. One that is scheduled already, or gone, is done.
 * @returns whether there still is such a key
 */
export async function deleteKey(client: AwsKmsClient, externalId: string, call: DriverCall): Promise<boolean> {
  try {
    await request(call, (options) =>
      client.scheduleKeyDeletion({ KeyId: externalId, PendingWindowInDays: WINDOW_DAYS }, options),
    );
    return true;
  } catch (error) {
    if (isCode(error, 'ERR_KMS_KEY_NOT_FOUND')) return false;
    // Also what a key in another state is refused with, one whose key store is disconnected for example.
    if (isCode(error, 'ERR_KMS_KEY_NOT_USABLE') && (await isGoing(client, externalId, call))) return true;
    throw error;
  }
}

/** Whether a key is on its way out, and so no key any more. */
export async function isGoing(client: AwsKmsClient, externalId: string, call: DriverCall): Promise<boolean> {
  const { KeyMetadata: metadata } = await request(call, (options) =>
    client.describeKey({ KeyId: externalId }, options),
  );
  return GOING.has(metadata?.KeyState);
}

/** Undoes the making of a key, in a time of its own: the call's may be over. Whether that succeeded. */
export async function deleteUnfinished(client: AwsKmsClient, externalId: string): Promise<boolean> {
  const call = { signal: AbortSignal.timeout(UNDO_MS), deadline: performance.now() + UNDO_MS };
  try {
    return await deleteKey(client, externalId, call);
  } catch {
    return false; // its tags lead reconcile() to it
  }
}

function isCode(error: unknown, code: KmsError['code']): boolean {
  return error instanceof KmsError && error.code === code;
}
