import { depthOf, invalidArgument, kindOf, type Metadata, metadataText } from './arguments.ts';
import { checkAuthType, checkBoolean, checkTags } from './attributes.ts';

/** Which secrets are meant. All that is given must hold. */
export interface SecretFilters {
  /** All of these tags. */
  readonly tags?: readonly string[] | undefined;
  /**
   * What the metadata contains: these members with these values, at any depth, and of an array these elements in any
   * order. At most 8 levels and 64 values.
   */
  readonly metadata?: Metadata | undefined;
  readonly authType?: string | undefined;
  /** Whether deleted secrets are left out, the only ones, or among the others. @default 'exclude' */
  readonly deleted?: 'exclude' | 'only' | 'include' | undefined;
  /** Only secrets that have expired, or only those that have not. @default both */
  readonly expired?: boolean | undefined;
}

/** Checked filters. */
export interface Filters {
  readonly tags: readonly string[];
  readonly metadata: Metadata;
  readonly authType: string | undefined;
  readonly deleted: 'exclude' | 'only' | 'include';
  readonly expired: boolean | undefined;
}

// Each value is a condition of the query.
const MAX_LEVELS = 8;
const MAX_VALUES = 64;
const DELETED: ReadonlySet<unknown> = new Set(['exclude', 'only', 'include']);

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function readFilters({ tags, metadata, authType, deleted = 'exclude', expired }: SecretFilters): Filters {
  if (!DELETED.has(deleted)) {
    throw invalidArgument('deleted', "'exclude', 'only' or 'include'", kindOf(deleted));
  }
  return {
    tags: tags === undefined ? [] : checkTags(tags, 'tags'),
    metadata: metadata === undefined ? {} : checkContained(metadata),
    authType: authType === undefined ? undefined : checkAuthType(authType),
    deleted,
    expired: expired === undefined ? undefined : checkBoolean(expired, 'expired'),
  };
}

function checkContained(metadata: Metadata): Metadata {
  const text = metadataText(metadata, 'metadata');
  const contained = JSON.parse(text) as Metadata;
  if (depthOf(text) <= MAX_LEVELS && countValues(contained) <= MAX_VALUES) return contained;
  throw invalidArgument('metadata', `at most ${MAX_LEVELS} levels and ${MAX_VALUES} values`, 'more');
}

function countValues(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce<number>((sum, member) => sum + countValues(member), 1);
}
