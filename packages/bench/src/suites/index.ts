import type { Suite } from '../suite.ts';
import { envelopeBytes } from './envelope-bytes.ts';
import { envelopeObject } from './envelope-object.ts';
import { envelopePeers } from './envelope-peers.ts';
import { envelopeStream } from './envelope-stream.ts';

/** In the order in which they run and are reported. */
export const suites: readonly Suite[] = [envelopeObject, envelopeBytes, ...envelopePeers, envelopeStream];

/**
 * The suites of these names, all without any.
 * @throws RangeError for a name that no suite has
 */
export function selectSuites(names: readonly string[]): readonly Suite[] {
  const unknown = names.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    throw new RangeError(`No suite "${unknown}". Suites: ${suites.map((suite) => suite.name).join(', ')}.`);
  }
  return names.length === 0 ? suites : suites.filter((suite) => names.includes(suite.name));
}
