import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { type Found, sourceUses } from './imports.ts';
import { type Problem, SCOPE, type WorkspacePackage } from './workspace.ts';

interface Row {
  /** Packages of ours that this one may import, with whatever those may; `all` means every published one. */
  readonly imports: readonly string[] | 'all';
  /** Never published. Only tests, benchmarks and examples import it. */
  readonly private?: true;
  /** May name a cipher; everyone else encrypts through the envelope package. */
  readonly ciphers?: true;
}

const PROVIDER: Row = { imports: ['kms'] };

/** Who may import whom. A package that isn't here is refused, so a new one is placed before it is written. */
export const TABLE: Readonly<Record<string, Row>> = {
  envelope: { imports: [], ciphers: true },
  secrets: { imports: ['envelope'] },
  kms: { imports: ['envelope'] },
  'kms-aws': PROVIDER,
  'kms-azure': PROVIDER,
  'kms-gcp': PROVIDER,
  'kms-pkcs11': PROVIDER,
  keychain: { imports: ['kms', 'secrets', 'envelope'] },
  oauth: { imports: ['secrets', 'kms'] },
  'api-keys': { imports: ['secrets'] },
  dbos: { imports: ['secrets', 'oauth', 'keychain'] },
  express: { imports: ['kms-aws', 'kms-azure', 'kms-gcp', 'kms-pkcs11', 'api-keys', 'dbos'] },
  'hush-compat': { imports: ['secrets', 'oauth'] },
  cli: { imports: 'all' },
  testkit: { imports: [], private: true },
  // Measures the bare cipher and peers' ciphers as the limit to compare with.
  bench: { imports: 'all', private: true, ciphers: true },
};

const EXAMPLE: Row = { imports: 'all', private: true };
const CIPHER_PACKAGE =
  /^(@noble\/ciphers|libsodium[^/]*|sodium-(native|universal|javascript)|tweetnacl|crypto-js|node-forge|aes-js)(\/|$)/;

/** Names, without the scope, of our packages that `row` may import, directly or by way of another. */
export function reachable(row: Row): ReadonlySet<string> {
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    const next = TABLE[name];
    if (next !== undefined) direct(next).forEach(visit);
  };
  direct(row).forEach(visit);
  return reached;
}

function direct(row: Row): readonly string[] {
  if (row.imports !== 'all') return row.imports;
  const everyone = Object.keys(TABLE);
  return row.private ? everyone : everyone.filter((name) => TABLE[name]?.private !== true);
}

/** Everything that a package imports or declares against the architecture. `files` is source text by path in it. */
export function arrowProblems(pkg: WorkspacePackage, files: ReadonlyMap<string, string>): Problem[] {
  const { manifest, folder } = pkg;
  const manifestFile = `${folder}/package.json`;
  const short = manifest.name.startsWith(SCOPE) ? manifest.name.slice(SCOPE.length) : undefined;
  const row = folder.startsWith('examples/') ? EXAMPLE : own(TABLE, short ?? '');
  if (short === undefined || row === undefined) {
    return [{ file: manifestFile, message: `${manifest.name} is not in the table of scripts/arrows.ts` }];
  }
  if (row.private && !manifest.private) {
    return [{ file: manifestFile, message: `${manifest.name} must be "private": true` }];
  }
  const declared = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  const allowed = reachable(row);
  const refusal = (name: string): string | undefined => {
    if (name === manifest.name) return `${name} imports itself by name; use a relative path`;
    if (name.startsWith(SCOPE) && !allowed.has(name.slice(SCOPE.length))) {
      return `${manifest.name} may not import ${name}`;
    }
    if (!row.ciphers && CIPHER_PACKAGE.test(name)) return `${name}: only ${SCOPE}envelope may use a cipher`;
    return undefined;
  };
  const problems: Problem[] = [];
  for (const name of Object.keys(declared)) {
    const message = refusal(name);
    if (message) problems.push({ file: manifestFile, line: lineOfKey(pkg.manifestText, name), message });
  }
  for (const [path, text] of files) {
    const file = `${folder}/${path}`;
    const { imports, ciphers } = sourceUses(path, text);
    const add = ({ line }: Found, message: string) => problems.push({ file, line, message });
    for (const found of imports) {
      const message = importRefusal(found.name, path, declared, refusal);
      if (message) add(found, message);
    }
    if (row.ciphers) continue;
    for (const found of ciphers) add(found, `${found.name}: only ${SCOPE}envelope may use a cipher`);
  }
  return problems;
}

function importRefusal(
  specifier: string,
  path: string,
  declared: Readonly<Record<string, string>>,
  refusal: (name: string) => string | undefined,
): string | undefined {
  if (/^(\.|\/|file:)/.test(specifier)) {
    const leaves = !specifier.startsWith('.') || posix.join(posix.dirname(path), specifier).startsWith('..');
    return leaves ? `${specifier} leaves the package` : undefined;
  }
  if (specifier.startsWith('#') || specifier.startsWith('node:')) return undefined;
  if (isBuiltin(specifier)) return `${specifier} is a part of Node: write node:${specifier}`;
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  const refused = refusal(name);
  if (refused || own(declared, name) !== undefined) return refused;
  return `${name} is not among the dependencies, peers or optional dependencies in package.json`;
}

function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function lineOfKey(text: string, key: string): number {
  return text.slice(0, text.indexOf(`"${key}"`)).split('\n').length;
}
