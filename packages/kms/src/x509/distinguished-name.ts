import { Name } from '@peculiar/x509';
import { invalidArgument, kindOf } from '../arguments.ts';

interface Attribute {
  readonly oid: string;
  /** Most characters (X.520, RFC 5280 appendix A.1). */
  readonly max: number;
  readonly form: 'utf8String' | 'printableString' | 'ia5String';
}

const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
const ASCII = /^[\x20-\x7e]*$/;

type AttributeName =
  | 'C'
  | 'ST'
  | 'L'
  | 'O'
  | 'OU'
  | 'CN'
  | 'SN'
  | 'G'
  | 'serialNumber'
  | 'organizationIdentifier'
  | 'DC'
  | 'E';

const ATTRIBUTES: Readonly<Record<AttributeName, Attribute>> = {
  C: { oid: '2.5.4.6', max: 2, form: 'printableString' },
  ST: { oid: '2.5.4.8', max: 128, form: 'utf8String' },
  L: { oid: '2.5.4.7', max: 128, form: 'utf8String' },
  O: { oid: '2.5.4.10', max: 64, form: 'utf8String' },
  OU: { oid: '2.5.4.11', max: 64, form: 'utf8String' },
  CN: { oid: '2.5.4.3', max: 64, form: 'utf8String' },
  SN: { oid: '2.5.4.4', max: 64, form: 'utf8String' },
  G: { oid: '2.5.4.42', max: 64, form: 'utf8String' },
  serialNumber: { oid: '2.5.4.5', max: 64, form: 'printableString' },
  organizationIdentifier: { oid: '2.5.4.97', max: 256, form: 'utf8String' },
  DC: { oid: '0.9.2342.19200300.100.1.25', max: 63, form: 'ia5String' },
  E: { oid: '1.2.840.113549.1.9.1', max: 255, form: 'ia5String' },
};

/** Attributes of a name by their short names, in the order in which they are to stand; several values where there are. */
export type NameAttributes = Readonly<Partial<Record<AttributeName, string | readonly string[]>>>;

/**
 * A name whose values are taken as they are. Text forms such as `CN=…, O=…` have an escape syntax, so that a tenant's
 * text put into one can add attributes of its own; here it stays the value it is.
 *
 * @returns what `@peculiar/x509` takes as `name`, `subject` or `issuer`
 * @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for an attribute that is not known, and a value that is empty, too long, has
 * control characters or characters that its attribute cannot hold
 *
 * @example
 * ```ts
 * import { distinguishedName } from '@keywright/kms/x509';
 *
 * export const nameOf = (tenant: string) => distinguishedName({ C: 'DE', O: tenant, CN: `Issuer of ${tenant}` });
 * ```
 */
export function distinguishedName(attributes: NameAttributes): Name {
  if (typeof attributes !== 'object' || attributes === null || Array.isArray(attributes)) {
    throw invalidArgument('name', 'an object of attributes', kindOf(attributes));
  }
  const names = Object.entries(attributes).flatMap(([name, given]) => {
    const values: readonly unknown[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
    return values.map((value) => attributeOf(name, value));
  });
  if (names.length > 0) return new Name(names);
  throw invalidArgument('name', 'at least one attribute', 'none');
}

function attributeOf(name: string, value: unknown): Record<string, Partial<Record<Attribute['form'], string>>[]> {
  const argument = `name.${name.slice(0, 32)}`;
  if (!Object.hasOwn(ATTRIBUTES, name)) {
    throw invalidArgument('name', Object.keys(ATTRIBUTES).join(', '), 'another attribute');
  }
  const { oid, max, form } = ATTRIBUTES[name as AttributeName];
  if (typeof value !== 'string') throw invalidArgument(argument, 'a string', kindOf(value));
  const length = [...value].length;
  if (length === 0 || length > max) throw invalidArgument(argument, `1 to ${max} characters`, `${length} characters`);
  const fits = form === 'utf8String' || (form === 'printableString' ? PRINTABLE : ASCII).test(value);
  if (!fits || /\p{Cc}/u.test(value) || !value.isWellFormed() || (name === 'C' && !/^[A-Z]{2}$/.test(value))) {
    throw invalidArgument(argument, name === 'C' ? 'two capital letters' : 'other characters', 'those given');
  }
  return { [oid]: [{ [form]: value }] };
}
