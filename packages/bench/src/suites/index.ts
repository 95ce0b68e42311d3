import type { LoadSuite } from '../load/suite.ts';
import type { Suite } from '../suite.ts';
import { envelopeBytes } from './envelope-bytes.ts';
import { envelopeObject } from './envelope-object.ts';
import { envelopePeers } from './envelope-peers.ts';
import { envelopeStream } from './envelope-stream.ts';
import { kmsDb } from './kms-db.ts';
import { kmsPkcs11 } from './kms-pkcs11.ts';
import { storeGet } from './store-get.ts';
import { storeGetMany } from './store-get-many.ts';
import { storeSave } from './store-save.ts';
import { storeSeal } from './store-seal.ts';

/** Single operations, one after the other. */
export const timedSuites: readonly Suite[] = [envelopeObject, envelopeBytes, ...envelopePeers, envelopeStream, kmsDb];

/** Many callers at once, on PostgreSQL or a token. */
export const loadSuites: readonly LoadSuite[] = [storeGet, storeGetMany, storeSave, storeSeal, kmsPkcs11];

/** In the order in which they run and are reported. */
export const suites: readonly AnySuite[] = [...timedSuites, ...loadSuites];

export type AnySuite = Suite | LoadSuite;

/**
 * The suites of these names, all without any.
 * @throws RangeError for a name that no suite has
 */
export function selectSuites(names: readonly string[]): readonly AnySuite[] {
  const unknown = names.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`No suite "${unknown}". Suites: ${suites.map((suite) => suite.name).join(', ')}.`);
  }
  return names.length === 0 ? suites : suites.filter((suite) => names.includes(suite.name));
}
