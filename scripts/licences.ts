/** Licences that ask for no more than to be named. Anything else is a decision for people, not for an update. */
export const PERMISSIVE: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
]);

/** The SPDX expression of a package.json's `license`, or `none`; the old object form gives its `type`. */
export function licenceOf(license: unknown): string {
  if (typeof license === 'string' && license !== '') return license;
  const type = license !== null && typeof license === 'object' && 'type' in license ? license.type : undefined;
  return typeof type === 'string' && type !== '' ? type : 'none';
}

/** Whether the expression can be met by permissive licences alone. Nested expressions are refused, not guessed. */
export function isPermissive(expression: string): boolean {
  const bare = expression.replace(/^\(([^()]*)\)$/, '$1');
  return !/[()]/.test(bare) && bare.split(' OR ').some(isMet);
}

function isMet(all: string): boolean {
  return all.split(' AND ').every((id) => PERMISSIVE.has(id.trim()));
}
