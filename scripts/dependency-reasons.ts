/**
 * Why each published package has each of its direct dependencies and peers. One without a reason fails the check, and
 * so does a reason for what is no longer there.
 */
export const REASONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '@keywright/envelope': {
    'quick-lru': 'small LRU with eviction, holds derived message keys',
  },
  '@keywright/secrets': {
    '@keywright/envelope': 'all encryption, the keyring and the error class',
    knex: 'the host application brings its own database connection and transactions',
    'quick-lru': 'small LRU with eviction, holds unwrapped tenant keys',
    uuid: 'time-ordered ids (UUIDv7) of secrets, versions and audit rows',
  },
};
