import { quoted } from '../tables.ts';
import { TENANT_SETTING } from './tenant-setting.ts';

/** Name of the policy that keeps a role to the tenant that is set. */
export const TENANT_POLICY = 'keywright_tenant';

/** Name of the policy that shows every tenant to the maintenance role. */
export const MAINTENANCE_POLICY = 'keywright_maintenance';

/**
 * True for a row of the tenant that is set; unknown, so false, for every row where none is. The sub-select lets the
 * database read the setting once a statement. A setting that ended with its transaction is left as an empty string.
 */
export function tenantExpression(column = 'tenant_id', type?: string): string {
  const tenant = `nullif((select current_setting('${TENANT_SETTING}', true)), '')`;
  // Within `cast (…)`, what is no type is no SQL either.
  return `${column} = ${type === undefined ? tenant : `cast(${tenant} as ${type})`}`;
}

/**
 * Whether an expression, as the catalog shows it, is the one that was asked for: the catalog adds casts, names and
 * parentheses.
 */
export function sameExpression(catalog: string | null, expected: string): boolean {
  return catalog !== null && plain(catalog) === plain(expected);
}

/** A table's name as `to_regclass` takes it. */
export function regclass(table: string): string {
  return quoted(table);
}

/** No operator is left whose order the parentheses would decide. */
function plain(expression: string): string {
  return expression
    .toLowerCase()
    .replace(/::(?:text|character varying|varchar)/g, '')
    .replaceAll(' as current_setting', '')
    .replace(/[\s()"]/g, '');
}
