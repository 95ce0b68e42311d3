import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Manifest, readManifest, type WorkspacePackage } from './workspace.ts';

/** A package as its users get it. */
export interface Packed {
  readonly tarball: string;
  /** Where it is unpacked. */
  readonly path: string;
  readonly manifest: Manifest;
  /** Paths of its files in the package, with `/`, sorted. */
  readonly files: readonly string[];
}

const REQUIRED = ['LICENSE', 'README.md'];
// Tests, and what a compiler or a developer leaves behind.
const UNWANTED = [
  /(^|\/)(tests?|test-d|__tests__|__snapshots__|fixtures|vectors)\//,
  /\.(test|spec|test-d|bench)\.[cm]?[jt]sx?(\.map)?$/,
  /\.tsbuildinfo$|\.log$|(^|\/)\.(env|npmrc)/,
];
/** Test vectors are published, for implementations in other languages. */
const VECTORS = /^test\/vectors\/[^/]+$/;
const WORKSPACE_RANGE = /"(workspace|catalog|link|file):[^"]*"/;

/**
 * Packs `pkg` into the folder `site` and unpacks it in `site`'s node_modules, beside the packages packed before it.
 * The workspace's pnpm packs: it adds the root's LICENSE and swaps `workspace:` and `catalog:` for versions.
 */
export function packPackage(root: string, pkg: WorkspacePackage, site: string): Packed {
  const { packageManager } = readManifest(join(root, 'package.json'));
  if (packageManager === undefined) throw new Error('The root package.json must name its packageManager.');
  const target = join(site, 'tarballs', pkg.folder);
  mkdirSync(target, { recursive: true });
  run('npx', ['-y', packageManager, 'pack', '--pack-destination', target], pkg.path);
  const [tarball] = readdirSync(target);
  if (tarball === undefined) throw new Error(`${pkg.folder}: packing made no tarball.`);
  return unpack(join(target, tarball), join(site, 'node_modules', pkg.manifest.name));
}

/** Unpacks a tarball into the folder `path`, which is made. */
export function unpack(tarball: string, path: string): Packed {
  mkdirSync(path, { recursive: true });
  run('tar', ['-xzf', tarball, '--strip-components=1', '--no-same-owner', '-C', path], path);
  const entries = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  const files = entries.map((entry) =>
    join(entry.parentPath, entry.name)
      .slice(path.length + 1)
      .replaceAll('\\', '/'),
  );
  return { tarball, path, manifest: readManifest(join(path, 'package.json')), files: files.sort() };
}

/** What a tarball lacks, and what doesn't belong in it. */
export function contentProblems({ files, path }: Packed): string[] {
  const problems = REQUIRED.filter((file) => !files.includes(file)).map((file) => `the tarball lacks ${file}`);
  if (!files.some((file) => file.startsWith('dist/'))) problems.push('the tarball lacks dist/');
  for (const file of files) {
    if (!VECTORS.test(file) && UNWANTED.some((pattern) => pattern.test(file)))
      problems.push(`the tarball should not hold ${file}`);
  }
  const range = WORKSPACE_RANGE.exec(readFileSync(join(path, 'package.json'), 'utf8'));
  if (range) problems.push(`the packed package.json still says ${range[0]}`);
  return problems;
}

function run(command: string, args: readonly string[], cwd: string): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${command} ${args.join(' ')} failed\n${error?.message ?? `${stdout}${stderr}`}`);
}
