import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { parseEnv } from 'node:util';

/** One tenant's credentials by name: text out of a .env file, JSON out of a .json file. */
export interface TenantCredentials {
  readonly tenant: string;
  readonly files: readonly string[];
  readonly values: ReadonlyMap<string, string | object>;
}

export async function readCredentials(tenant: string, files: readonly string[]): Promise<TenantCredentials> {
  const values = new Map<string, string | object>();
  for (const file of files) {
    for (const [name, value] of Object.entries(await parse(file))) values.set(name, value);
  }
  if (values.size === 0) throw new Error(`No credentials for ${tenant} in ${files.join(', ')}.`);
  return { tenant, files: files.map((file) => basename(file)), values };
}

async function parse(file: string): Promise<Record<string, string | object>> {
  const text = await readFile(file, 'utf8');
  if (extname(file) !== '.json') return parseEnv(text) as Record<string, string>;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error(`${file} is not JSON.`); // the parser's message would quote a credential
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Error(`${file} must hold an object of name to credential.`);
  }
  return parsed as Record<string, string | object>;
}

/** Every string inside a credential that would give it away, long enough not to be found by chance. */
export function secretStrings(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.length >= 8 ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(secretStrings);
}
