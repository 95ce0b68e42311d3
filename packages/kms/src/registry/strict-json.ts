import { KmsError } from '../errors.ts';
import { configError, type Path } from './path.ts';

const TOKENS = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}[\],]/g;

/**
 * Parses JSON in which every object has each name once: `JSON.parse` keeps the last, so that a reviewer and the service
 * may read different values.
 *
 * @throws KmsError `ERR_KMS_CONFIG_UNREADABLE`, `ERR_KMS_CONFIG` with the path of the second
 */
export function parseStrictJson(text: string): unknown {
  const value = parse(text);
  const path = duplicate(text);
  if (path !== undefined) throw configError(path, 'a member of this name once');
  return value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // V8's error quotes the text, which may hold secrets.
    throw new KmsError('ERR_KMS_CONFIG_UNREADABLE', { context: { expected: 'JSON' } });
  }
}

function duplicate(text: string): Path | undefined {
  const open: { readonly names: Set<string> | undefined; at: string | number }[] = [];
  for (const [token, string = '', colon] of text.matchAll(TOKENS)) {
    const inner = open.at(-1);
    if (token === '{') open.push({ names: new Set(), at: '' });
    else if (token === '[') open.push({ names: undefined, at: 0 });
    else if (token === '}' || token === ']') open.pop();
    else if (token === ',' && typeof inner?.at === 'number') inner.at++;
    else if (colon !== undefined && inner?.names !== undefined) {
      const name = JSON.parse(string) as string; // "\u0069d" and "id" are one name
      inner.at = name;
      if (inner.names.has(name)) return open.map(({ at }) => at);
      inner.names.add(name);
    }
  }
  return undefined;
}
