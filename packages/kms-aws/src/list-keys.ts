import { type BackendKey, type BackendKeyPage, type DriverCall, KmsError } from '@keywright/kms';
import { mapBounded, request } from './calls.ts';
import { invalidArgument, kindOf } from './checks.ts';
import type { AwsKmsClient } from './client.ts';
import { isGoing } from './deletion.ts';
import { readTags, type Tags } from './tags.ts';

/** Requests at a time: a small part of what AWS allows an account for each second. */
const AT_ONCE = 16;

/**
 * A page of the account's keys, narrowed to ours that are not being deleted. AWS KMS lists keys without their tags, so a
 * page costs one request, one more for each key in it and one more for each of ours.
 */
export async function listKeys(
  client: AwsKmsClient,
  tags: Tags,
  page: { readonly cursor: string | undefined; readonly limit: number },
  call: DriverCall,
): Promise<BackendKeyPage> {
  const { before, marker } = readCursor(page.cursor);
  const answer = await request(call, (options) =>
    client.listKeys({ Limit: page.limit, ...(marker === undefined ? {} : { Marker: marker }) }, options),
  );
  const { Keys: listed, NextMarker: next, Truncated: isTruncated } = answer;
  if (!Array.isArray(listed) || (isTruncated === true && (typeof next !== 'string' || next === ''))) {
    throw new KmsError('ERR_KMS_INVALID_RESPONSE', { context: { expected: 'a page of keys' } });
  }
  const ids = listed.map(({ KeyArn: arn }) => arn).filter((arn) => typeof arn === 'string');
  const read = await mapBounded(ids, AT_ONCE, (externalId) => readKey(client, externalId, tags, call));
  const keys = read.filter((key): key is BackendKey => key !== undefined && !(key instanceof KmsError));
  const closed = read.find((key) => key instanceof KmsError);
  const isOpen = before === 'open' || read.some((key) => !(key instanceof KmsError));
  const seen = isOpen ? 'open' : closed === undefined ? before : 'closed';
  if (isTruncated === true) return { keys, cursor: `${seen}:${next}` };
  // Keys of others may be closed to us. Where all are, more likely we may not read tags: that is no empty list.
  if (seen === 'closed') throw closed ?? new KmsError('ERR_KMS_DENIED');
  return { keys, cursor: undefined };
}

/** A cursor of ours is that of AWS behind what the tags of the keys before it were: any of them open to us, all closed. */
function readCursor(cursor = 'none:'): { readonly before: string; readonly marker: string | undefined } {
  const [, before, marker] = /^(open|closed|none):(.*)$/s.exec(cursor) ?? [];
  if (before === undefined) throw invalidArgument('cursor', 'what the page before returned', kindOf(cursor));
  return { before, marker: marker === '' ? undefined : marker };
}

/** `undefined` for a key that is not ours, or not any more; the refusal of one whose tags we may not read. */
async function readKey(
  client: AwsKmsClient,
  externalId: string,
  more: Tags,
  call: DriverCall,
): Promise<BackendKey | KmsError | undefined> {
  try {
    const { Tags: tags } = await request(call, (options) => client.listResourceTags({ KeyId: externalId }, options));
    const facts = readTags(tags ?? [], more);
    if (facts === undefined || (await isGoing(client, externalId, call))) return undefined;
    return { externalId, ...facts };
  } catch (error) {
    if (error instanceof KmsError && error.code === 'ERR_KMS_KEY_NOT_FOUND') return undefined;
    if (error instanceof KmsError && error.code === 'ERR_KMS_DENIED') return error;
    throw error;
  }
}
