import type { Logger } from '@keywright/envelope';
import { invalidArgument } from '../arguments.ts';
import { ReadCache } from '../cache/read-cache.ts';
import type { Connections } from '../connections.ts';
import type { SecretStoreOptions } from '../options.ts';
import type { Tables } from '../tables.ts';
import { ChangeFeed } from './change-feed.ts';

interface Environment {
  readonly connections: Connections;
  readonly tables: Tables;
  readonly logger: Logger | undefined;
  ready(): Promise<void>;
}

/** The parts of a store that its checked options ask for: the feed, and the cache that listens to it. */
export function feedParts(
  { changeFeed, listen, readCache, telemetry }: SecretStoreOptions,
  env: Environment,
): { readonly changeFeed: ChangeFeed | undefined; readonly readCache: ReadCache | undefined } {
  if (changeFeed === undefined || typeof changeFeed === 'boolean')
    return { changeFeed: undefined, readCache: undefined };
  const feed = new ChangeFeed({ ...env, options: changeFeed, listen });
  // A store that lives as long as a transaction has nothing to remember.
  const cached = readCache !== undefined && !env.connections.raw(undefined).isTransaction;
  return { changeFeed: feed, readCache: cached ? new ReadCache(feed, readCache, env.logger, telemetry) : undefined };
}

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function requireFeed(feed: ChangeFeed | undefined): ChangeFeed {
  if (feed !== undefined) return feed;
  throw invalidArgument('changeFeed', 'true, for what reads the change feed', 'undefined');
}
