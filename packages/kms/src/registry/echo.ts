import { COMMON_MEMBERS } from './config-schema.ts';
import type { Path } from './path.ts';
import { isPlainObject, type Plain } from './plain.ts';
import type { KmsConfigEcho, ProviderEcho } from './registry.ts';
import type { WrittenForms } from './resolve.ts';
import { alternatives, type Schema, schemasAt } from './schema-walk.ts';
import type { ProviderTypes } from './types.ts';
import type { CheckedConfig } from './validate.ts';

const REDACTED = '[redacted]';
/** A password in an address, a PIN in a PKCS #11 URI, a private key among certificates. */
const SECRET_INSIDE = /:\/\/[^/?#]*@|pin-value=|PRIVATE KEY-----/i;

/** What can be shown of a configuration. Holds nothing of what is not. */
export function echoOf(config: CheckedConfig, types: ProviderTypes, written: WrittenForms): KmsConfigEcho {
  const providers = config.providers.map((entry, index) => {
    const { id, type } = entry;
    const common: Schema = { properties: COMMON_MEMBERS };
    const schemas = [common, ...alternatives(types.get(type)?.schema)];
    const members = Object.entries(entry).map(([name, value]) => {
      const path = ['providers', index, name];
      return [name, shown(value as Plain, path, schemasAt(schemas, name), written)] as const;
    });
    return Object.freeze({ ...Object.fromEntries(members), id, type } satisfies ProviderEcho);
  });
  return Object.freeze({ defaultProvider: config.defaultProvider, providers: Object.freeze(providers) });
}

/** What no schema knows may be anything, so it is not shown. */
function shown(value: Plain, path: Path, schemas: readonly Schema[], written: WrittenForms): Plain {
  if (schemas.length === 0 || schemas.some(({ writeOnly }) => writeOnly === true)) return REDACTED;
  const inside = (part: string | number, member: Plain): Plain =>
    shown(member, [...path, part], schemasAt(schemas, part), written);
  if (Array.isArray(value)) return Object.freeze(value.map((item: Plain, index) => inside(index, item)));
  if (isPlainObject(value)) {
    return Object.freeze(Object.fromEntries(Object.entries(value).map(([name, of]) => [name, inside(name, of)])));
  }
  const form = written.get(JSON.stringify(path)) ?? value;
  return typeof form === 'string' && SECRET_INSIDE.test(form) ? REDACTED : form;
}
