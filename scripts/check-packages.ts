// Packs each published package and looks at the tarball as its users will. Arguments: folders to check, default all.
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { attwProblems, publintProblems } from './package-lint.ts';
import { linkRequired, smokeProblems } from './smoke.ts';
import { contentProblems, type Packed, packPackage } from './tarball.ts';
import { type Problem, report, type WorkspacePackage, workspacePackages } from './workspace.ts';

const root = process.cwd();
const published = workspacePackages(root).filter(
  ({ folder, manifest }) => folder.startsWith('packages/') && !manifest.private,
);
const byName = new Map(published.map((pkg) => [pkg.manifest.name, pkg]));

function chosen(args: readonly string[]): WorkspacePackage[] {
  if (args.length === 0) return published;
  return args.map((arg) => {
    const pkg = published.find(({ folder }) => basename(folder) === basename(arg));
    if (!pkg) throw new Error(`There is no published package in packages/${basename(arg)}.`);
    return pkg;
  });
}

/** The packages and those of ours that they need. */
function withDependencies(packages: readonly WorkspacePackage[]): Set<WorkspacePackage> {
  const all = new Set(packages);
  // A set's iterator visits what is added on the way.
  for (const { manifest } of all) {
    for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      const pkg = byName.get(name);
      if (pkg) all.add(pkg);
    }
  }
  return all;
}

async function packageProblems(pkg: WorkspacePackage, packed: Packed): Promise<string[]> {
  return [
    ...contentProblems(packed),
    ...(await publintProblems(packed)),
    ...attwProblems(packed),
    ...smokeProblems(packed, join(pkg.path, 'node_modules')),
  ];
}

const packages = chosen(process.argv.slice(2));
const needed = [...withDependencies(packages)];
const site = realpathSync(mkdtempSync(join(tmpdir(), 'keywright-packages-')));
const problems: Problem[] = [];
try {
  const unbuilt = needed.filter(({ path }) => !existsSync(join(path, 'dist')));
  for (const { folder } of unbuilt) problems.push({ file: folder, message: 'has no dist; run `pnpm run build` first' });
  const built = needed.filter((pkg) => !unbuilt.includes(pkg));
  const packed = new Map(built.map((pkg) => [pkg, packPackage(root, pkg, site)]));
  for (const [pkg, of] of packed) linkRequired(of, join(pkg.path, 'node_modules'));
  for (const [pkg, of] of packed) {
    if (!packages.includes(pkg)) continue;
    for (const message of await packageProblems(pkg, of)) problems.push({ file: pkg.folder, message });
  }
} finally {
  rmSync(site, { recursive: true, force: true });
}
report(problems, `packages: ${packages.length} tarballs are complete, typed and load`);
