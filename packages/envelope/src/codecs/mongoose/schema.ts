import { invalid } from '../../columns/options.ts';
import { describe } from '../../keywright-error.ts';

/** What is used of the type of a path. */
export interface SchemaPath {
  readonly setters: readonly unknown[];
  readonly getters: readonly unknown[];
  readonly validators: readonly { readonly type?: string }[];
  readonly defaultValue: unknown;
  set(setter: (this: unknown, value: unknown, prior: unknown) => unknown): unknown;
  get(getter: (this: unknown, stored: unknown) => unknown): unknown;
  cast(value: unknown): unknown;
}

export interface HookedSchema {
  path(name: string): SchemaPath | undefined;
  readonly statics: Readonly<Record<string, unknown>>;
  static(name: string, method: (this: never, ...args: never[]) => unknown): unknown;
  pre(name: string | readonly string[], options: object, hook: (this: never, ...args: never[]) => void): unknown;
}

/**
 * A path whose values pass through nothing else: another setter, getter or validator would be given ciphertext.
 * @throws ColumnError `ERR_COLUMN_INVALID_ARGUMENT`
 */
export function plainPath(schema: HookedSchema, name: string): SchemaPath {
  const type = schema.path(name);
  if (type === undefined) throw invalid('columns', 'top-level paths of the schema', name);
  const { setters, getters, validators, defaultValue } = type;
  if (setters.length > 0) throw invalid(name, 'no setters', `${setters.length} setters`);
  if (getters.length > 0) throw invalid(name, 'no getters', `${getters.length} getters`);
  if (validators.some((validator) => validator.type !== 'required')) throw invalid(name, 'no validators', 'validators');
  if (defaultValue !== undefined && defaultValue !== null) throw invalid(name, 'no default', describe(defaultValue));
  return type;
}
