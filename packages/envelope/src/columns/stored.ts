import { claimsToken } from '../formats/v2-text.ts';
import { isBytes } from '../internal/bytes.ts';
import type { CheckedOptions } from './options.ts';

/** A stored value, by what it claims to be. A claim is never plaintext, however broken it is. */
export type Stored =
  | { readonly claim: 'token'; readonly token: string }
  | { readonly claim: 'object'; readonly envelope: object }
  | { readonly claim: 'bytes'; readonly envelope: Uint8Array }
  /** What is left of the JSON text of an envelope: a column that was too short for it, an edit. */
  | { readonly claim: 'broken' }
  /** A type that this storage never has. */
  | { readonly claim: 'foreign' }
  /** No claim: text, a parsed JSON value or bytes, after the storage. */
  | { readonly claim: 'none'; readonly value: unknown }
  /** No claim, and not the JSON text that it must be. */
  | { readonly claim: 'unparsable' };

const MAGIC = [0x4b, 0x57] as const;
const OBJECT_START = /^[ \t\r\n]*\{/;
const STRING_START = /^[ \t\r\n]*"/;

export function classify(codec: CheckedOptions, stored: unknown): Stored {
  if (codec.storage === 'bytes') return isBytes(stored) ? ofBytes(stored) : { claim: 'foreign' };
  if (codec.storage === 'text') {
    return typeof stored === 'string' ? ofText(stored, codec.payload === 'json') : { claim: 'foreign' };
  }
  return ofJson(stored, codec.jsonAs === 'string');
}

function ofBytes(envelope: Uint8Array): Stored {
  const claims = envelope[0] === MAGIC[0] && envelope[1] === MAGIC[1];
  return claims ? { claim: 'bytes', envelope } : { claim: 'none', value: envelope };
}

/** @param json whether the text may be JSON of a text that claims, as a cast of a JSON column makes it */
function ofText(text: string, json: boolean): Stored {
  if (claimsToken(text)) return { claim: 'token', token: text };
  if (OBJECT_START.test(text)) {
    // The mark stands in the text as it is or behind an escape; where neither is, there is nothing to parse for.
    if (!text.includes('__enc') && !text.includes('\\u')) return { claim: 'none', value: text };
    const parsed = parse(text);
    // jsonb sorts its keys, and an escape hides a name: the text itself tells nothing while it can be parsed.
    if (parsed === undefined) return text.includes('"__enc"') ? { claim: 'broken' } : { claim: 'none', value: text };
    if (claimsObject(parsed)) return { claim: 'object', envelope: parsed };
  } else if (json && STRING_START.test(text)) {
    const parsed = parse(text);
    const inner = typeof parsed === 'string' ? ofText(parsed, true) : undefined;
    if (inner !== undefined && inner.claim !== 'none') return inner;
  }
  return { claim: 'none', value: text };
}

function ofJson(stored: unknown, asText: boolean): Stored {
  if (typeof stored === 'string') {
    const found = ofText(stored, true);
    if (!asText || found.claim !== 'none') return found;
    const value = parse(stored);
    return value === undefined ? { claim: 'unparsable' } : { claim: 'none', value };
  }
  if (claimsObject(stored)) return { claim: 'object', envelope: stored };
  const known = ['object', 'number', 'boolean'].includes(typeof stored) && !isBytes(stored);
  return known ? { claim: 'none', value: stored } : { claim: 'foreign' };
}

/** By `in`, not by own field: what inherits the mark is refused further on, where it lacks the rest. */
function claimsObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && '__enc' in value;
}

/** `undefined` for what is no JSON. The parser's error goes no further: its text quotes the value. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
