import { isAbsolute } from 'node:path';

/** A variable that a string asks for. */
export interface Variable {
  readonly name: string;
  /** Taken where the variable is unset or empty. */
  readonly fallback: string | undefined;
}

/**
 * What a string of the configuration is: text with placeholders in it, or as a whole a reference. A string without
 * either is `literal`.
 */
export type Reference =
  | { readonly kind: 'literal' }
  | { readonly kind: 'template'; readonly parts: readonly (string | Variable)[] }
  | { readonly kind: 'env'; readonly variable: Variable }
  | { readonly kind: 'file'; readonly path: string };

/** What is expected of a string that is none of them. */
export const REFERENCE_FORMS: string = `\${NAME} or \${NAME:default} without others inside, or as a whole string env:NAME or file:/path`;

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const OPENING = '${';

/** `undefined` for placeholders that are nested, unterminated, empty or badly named, and for malformed references. */
export function parseReference(text: string): Reference | undefined {
  const scheme = /^(env|file):/.exec(text)?.[1];
  if (scheme !== undefined && text.includes(OPENING)) return undefined;
  if (scheme === 'env') {
    const name = text.slice('env:'.length);
    return NAME.test(name) ? { kind: 'env', variable: { name, fallback: undefined } } : undefined;
  }
  if (scheme === 'file') {
    const path = text.slice('file:'.length);
    return isAbsolute(path) && !path.includes('\0') ? { kind: 'file', path } : undefined;
  }
  if (!text.includes(OPENING)) return { kind: 'literal' };
  const parts = partsOf(text);
  return parts && { kind: 'template', parts };
}

/** Whether the value of one variable or file is the whole string. */
export function fillsString(reference: Reference): boolean {
  if (reference.kind === 'template') return reference.parts.length === 1;
  return reference.kind !== 'literal';
}

/** How a string with references is shown: as written, but for defaults, which stand for values. */
export function shownReference(text: string, reference: Reference): string {
  if (reference.kind !== 'template') return text;
  const show = ({ name, fallback }: Variable): string => `\${${name}${fallback === undefined ? '' : ':…'}}`;
  return reference.parts.map((part) => (typeof part === 'string' ? part : show(part))).join('');
}

function partsOf(text: string): (string | Variable)[] | undefined {
  const parts: (string | Variable)[] = [];
  let from = 0;
  for (let start = text.indexOf(OPENING); start >= 0; start = text.indexOf(OPENING, from)) {
    const end = text.indexOf('}', start);
    const variable = end < 0 ? undefined : variableOf(text.slice(start + OPENING.length, end));
    if (variable === undefined) return undefined;
    if (start > from) parts.push(text.slice(from, start));
    parts.push(variable);
    from = end + 1;
  }
  if (from < text.length) parts.push(text.slice(from));
  return parts;
}

function variableOf(body: string): Variable | undefined {
  const colon = body.indexOf(':');
  const name = colon < 0 ? body : body.slice(0, colon);
  const fallback = colon < 0 ? undefined : body.slice(colon + 1);
  return NAME.test(name) && !fallback?.includes(OPENING) ? { name, fallback } : undefined;
}
