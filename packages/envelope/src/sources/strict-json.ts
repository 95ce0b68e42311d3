const TOKENS = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/g;

/** `JSON.parse`; `undefined` for what is no JSON. The engine's own error quotes the text, which holds keys. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Whether an object in this JSON text has two members of one name. `JSON.parse` keeps the last, so two keys under one
 * kid would silently become one. The text must be valid JSON.
 */
export function hasDuplicateNames(text: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, colon] of text.matchAll(TOKENS)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const names = open.at(-1);
      const name: unknown = JSON.parse(token.slice(0, -colon.length)); // "\u0076" and "v" are one name
      if (names?.has(String(name))) return true;
      names?.add(String(name));
    }
  }
  return false;
}

/** Whether a parsed value is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
