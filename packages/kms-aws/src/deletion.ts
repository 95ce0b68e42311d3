import { type DriverCall, KmsError } from '@keywright/kms';
import { request } from './calls.ts';
import type { AwsKmsClient } from './client.ts';

/** The shortest that AWS allows. */
const WINDOW_DAYS = 7;
const UNDO_MS = 2_000;
const GOING: ReadonlySet<string | undefined> = new Set(['PendingDeletion', 'PendingReplicaDeletion']);

/**
 * Schedules the deletion of a key, which stops it signing at once, and takes our names off it, which AWS would do days
 * later. One that is scheduled already, or gone, is done.
 *
 * @returns whether there still is such a key
 */
export async function deleteKey(
  client: AwsKmsClient,
  externalId: string,
  aliasPrefix: string | undefined,
  call: DriverCall,
): Promise<boolean> {
  try {
    await request(call, (options) =>
      client.scheduleKeyDeletion({ KeyId: externalId, PendingWindowInDays: WINDOW_DAYS }, options),
    );
  } catch (error) {
    if (isCode(error, 'ERR_KMS_KEY_NOT_FOUND')) return false;
    // Also what a key in another state is refused with, one whose key store is disconnected for example.
    if (!isCode(error, 'ERR_KMS_KEY_NOT_USABLE') || !(await isGoing(client, externalId, call))) throw error;
  }
  if (aliasPrefix !== undefined) await deleteAliases(client, aliasPrefix, externalId, call);
  return true;
}

/** Whether a key is on its way out, and so no key any more. */
export async function isGoing(client: AwsKmsClient, externalId: string, call: DriverCall): Promise<boolean> {
  const { KeyMetadata: metadata } = await request(call, (options) =>
    client.describeKey({ KeyId: externalId }, options),
  );
  return GOING.has(metadata?.KeyState);
}

/** Undoes the making of a key, in a time of its own: the call's may be over. Whether that succeeded. */
export async function deleteUnfinished(
  client: AwsKmsClient,
  externalId: string,
  aliasPrefix: string | undefined,
): Promise<boolean> {
  const call = { signal: AbortSignal.timeout(UNDO_MS), deadline: performance.now() + UNDO_MS };
  try {
    return await deleteKey(client, externalId, aliasPrefix, call);
  } catch {
    return false; // its tags lead reconcile() to it
  }
}

async function deleteAliases(
  client: AwsKmsClient,
  prefix: string,
  externalId: string,
  call: DriverCall,
): Promise<void> {
  const { Aliases: aliases = [] } = await request(call, (options) =>
    client.listAliases({ KeyId: externalId }, options),
  );
  for (const { AliasName: alias } of aliases) {
    if (!alias?.startsWith(`alias/${prefix}`)) continue;
    try {
      await request(call, (options) => client.deleteAlias({ AliasName: alias }, options));
    } catch (error) {
      if (!isCode(error, 'ERR_KMS_KEY_NOT_FOUND')) throw error;
    }
  }
}

function isCode(error: unknown, code: KmsError['code']): boolean {
  return error instanceof KmsError && error.code === code;
}
