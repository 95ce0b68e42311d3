import { validate as isUuid } from 'uuid';
import { checkText, invalidArgument, kindOf } from './arguments.ts';

/**
 * Which secret is meant: by its name, which a rename changes and a deletion frees, or by its id, which never changes.
 */
export type SecretLocator = string | { readonly id: string };

/** A checked locator. */
export type Located =
  | { readonly name: string; readonly id?: undefined }
  | { readonly id: string; readonly name?: undefined };

/** @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` */
export function checkLocator(locator: SecretLocator): Located {
  if (typeof locator !== 'object' || locator === null) return { name: checkText(locator, 'name') };
  return { id: checkId(locator) };
}

function checkId(locator: { readonly id: string }): string {
  let id: unknown;
  try {
    ({ id } = locator);
  } catch {
    throw invalidArgument('id', 'a UUID', 'an object that throws');
  }
  if (typeof id === 'string' && isUuid(id)) return id.toLowerCase();
  throw invalidArgument('id', 'a UUID', typeof id === 'string' ? 'another string' : kindOf(id));
}
