import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The fields of a package.json that the checks read. */
export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly private?: boolean;
  readonly packageManager?: string;
  readonly license?: unknown;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

export interface WorkspacePackage {
  /** Relative to the root, with `/`: `packages/envelope`. */
  readonly folder: string;
  readonly path: string;
  readonly manifest: Manifest;
  readonly manifestText: string;
}

/** Something a check refuses, at a place a reader can open. */
export interface Problem {
  /** Relative to the root, with `/`. */
  readonly file: string;
  /** From 1; without one, the whole file is meant. */
  readonly line?: number;
  readonly message: string;
}

/** Start of the names of our own packages. */
export const SCOPE = '@keywright/';

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
}

const GENERATED = new Set(['node_modules', 'dist']);

function isGenerated(path: string): boolean {
  return path.split(/[\\/]/).some((part) => GENERATED.has(part));
}

/** Files below `root` that match, sorted, with `/`. Installed and built files are never among them. */
export function findFiles(root: string, patterns: readonly string[]): string[] {
  const found = globSync([...patterns], { cwd: root, exclude: isGenerated });
  return found.map((path) => path.replaceAll('\\', '/')).sort();
}

/**
 * The packages in `packages/` and `examples/`, sorted by folder.
 *
 * @throws Error where there are none: a check that looked at nothing must not pass
 */
export function workspacePackages(root: string): WorkspacePackage[] {
  const manifests = findFiles(root, ['packages/*/package.json', 'examples/*/package.json']);
  if (manifests.length === 0) throw new Error('No packages found. Run this from the root of the workspace.');
  return manifests.map((file) => {
    const manifestText = readFileSync(join(root, file), 'utf8');
    const folder = dirname(file);
    return { folder, path: join(root, folder), manifest: JSON.parse(manifestText) as Manifest, manifestText };
  });
}

/** Prints one line for each problem, or `success` if there are none, and sets the exit code. */
export function report(problems: readonly Problem[], success: string): void {
  for (const { file, line, message } of problems) {
    console.error(line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`);
  }
  if (problems.length === 0) console.log(success);
  else console.error(problems.length === 1 ? '1 problem' : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
