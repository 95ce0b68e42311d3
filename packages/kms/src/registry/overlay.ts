import { kindOf } from '../arguments.ts';
import { configError } from './path.ts';
import { isPlainObject, plainCopy } from './plain.ts';
import { defaultOf } from './validate.ts';

/** The providers of a tenant. */
export interface TenantChoice {
  readonly ids: ReadonlySet<string>;
  readonly defaultProvider: string;
}

const OVERLAY_DEPTH = 2;
const CONFIGURED = 'the id of a configured provider';

/**
 * Reads what a tenant chose among the configured providers. It may be anybody's text: nothing of it is resolved, and
 * whatever is not such a choice is refused by its path.
 *
 * @throws KmsError `ERR_KMS_CONFIG`
 */
export function readOverlay(given: unknown, configured: readonly string[], preferred: string): TenantChoice {
  const overlay = plainCopy(given === undefined ? {} : given, OVERLAY_DEPTH);
  if (!isPlainObject(overlay)) throw configError([], 'an object', { received: kindOf(overlay) });
  const unknown = Object.keys(overlay).find((name) => name !== 'defaultProvider' && name !== 'providers');
  if (unknown !== undefined) {
    throw configError([unknown], 'defaultProvider and providers only: a tenant chooses among configured providers');
  }
  const { defaultProvider: chosen, providers = configured } = overlay;
  const ids = readIds(providers, configured);
  if (chosen !== undefined && typeof chosen !== 'string') {
    throw configError(['defaultProvider'], CONFIGURED, { received: kindOf(chosen) });
  }
  return { ids: new Set(ids), defaultProvider: defaultOf(ids, chosen, preferred) };
}

function readIds(given: unknown, configured: readonly string[]): readonly string[] {
  if (!Array.isArray(given)) throw configError(['providers'], 'an array of ids', { received: kindOf(given) });
  if (given.length === 0) throw configError(['providers'], 'at least one id');
  for (const [index, id] of given.entries()) {
    const path = ['providers', index];
    if (!configured.includes(id)) throw configError(path, CONFIGURED, { received: kindOf(id) });
    if (given.indexOf(id) !== index) throw configError(path, 'each id once');
  }
  return given as readonly string[];
}
