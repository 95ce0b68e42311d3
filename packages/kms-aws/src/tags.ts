import { hash } from 'node:crypto';
import { invalidArgument, kindOf } from './checks.ts';

export interface Tag {
  readonly TagKey: string;
  readonly TagValue: string;
}

/** Tags that every key of the deployment has beside ours, and that its list is narrowed to. */
export type Tags = Readonly<Record<string, string>>;

const OWN = ['TenantId', 'LocalKeyId', 'ManagedBy', 'Name'] as const;
const MANAGED_BY = 'keywright';
const HASHED = 'sha256:';
const MAX_TAGS = 40;
// What AWS takes: letters, digits and spaces of any script, and a few signs. "aws:" is its own.
const VALUE = /^(?! )(?!aws:)[\p{L}\p{N} _.:/=+@-]{0,256}(?<! )$/iu;
const KEY = /^(?! )(?!aws:)[\p{L}\p{N} _.:/=+@-]{1,128}(?<! )$/iu;

/**
 * A text as a tag can hold it: itself, or `sha256:` and the hexadecimal hash of its UTF-8 where it has characters that
 * AWS refuses (or begins like one that was hashed), so that two texts are never the same tag.
 */
export function tagValue(text: string): string {
  if (text !== '' && VALUE.test(text) && !text.startsWith(HASHED)) return text;
  return `${HASHED}${hash('sha256', text, 'hex')}`;
}

/** Tags of a key that signs. They are there from its first moment, so a key whose answer was lost is found by them. */
export function signingTags(
  { tenantId, keyId, name }: { readonly tenantId: string; readonly keyId: string; readonly name: string },
  more: Tags,
): Tag[] {
  return toList({ ...more, TenantId: tagValue(tenantId), LocalKeyId: tagValue(keyId), ...ownTags(name) });
}

/** Tags of a key that wraps: it is no tenant's, and is not listed among the keys that sign. */
export function wrappingTags(name: string, more: Tags): Tag[] {
  return toList({ ...more, ...ownTags(name) });
}

/** What the tags of a key say; `undefined` unless it is a signing key of this deployment. */
export function readTags(
  tags: readonly { readonly TagKey?: string | undefined; readonly TagValue?: string | undefined }[],
  more: Tags,
): { readonly name?: string; readonly tenantId?: string; readonly keyId?: string } | undefined {
  const found = new Map(tags.map(({ TagKey, TagValue }) => [TagKey, TagValue]));
  const isOurs = found.get('ManagedBy') === MANAGED_BY && found.has('LocalKeyId');
  if (!isOurs || Object.entries(more).some(([key, value]) => found.get(key) !== value)) return undefined;
  const read = (key: (typeof OWN)[number]): string | undefined => {
    const value = found.get(key);
    return value === undefined || value.startsWith(HASHED) ? undefined : value;
  };
  const [name, tenantId, keyId] = [read('Name'), read('TenantId'), read('LocalKeyId')];
  return {
    ...(name === undefined ? {} : { name }),
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(keyId === undefined ? {} : { keyId }),
  };
}

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkTags(tags: unknown): Tags {
  if (tags === undefined) return Object.freeze({});
  if (typeof tags !== 'object' || tags === null || Array.isArray(tags)) {
    throw invalidArgument('tags', 'an object of texts', kindOf(tags));
  }
  const entries = Object.entries(tags as Record<string, unknown>);
  if (entries.length > MAX_TAGS) throw invalidArgument('tags', `at most ${MAX_TAGS} tags`, `${entries.length}`);
  for (const [key, value] of entries) {
    const isOwn = OWN.some((own) => own.toLowerCase() === key.toLowerCase());
    if (isOwn || !KEY.test(key)) throw invalidArgument('tags', `names that AWS takes, other than ${OWN}`, 'another');
    if (typeof value !== 'string' || !VALUE.test(value)) {
      throw invalidArgument('tags', 'values that AWS takes: letters, digits, spaces and _.:/=+-@', kindOf(value));
    }
  }
  return Object.freeze(Object.fromEntries(entries) as Record<string, string>);
}

function ownTags(name: string): Record<string, string> {
  return { ManagedBy: MANAGED_BY, Name: name };
}

function toList(tags: Tags): Tag[] {
  return Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue }));
}
