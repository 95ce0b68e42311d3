import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isPermissive, licenceOf } from './licences.ts';
import { type Manifest, type Problem, readManifest, SCOPE, type WorkspacePackage } from './workspace.ts';

/** Reasons by package, then by direct dependency or peer. */
export type Reasons = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** One line of a package's table. */
export interface Row {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly why: string;
}

export interface Listing {
  readonly packageName: string;
  readonly rows: readonly Row[];
  readonly peers: readonly Row[];
}

interface Installed {
  readonly manifest: Manifest;
  readonly licence: string;
  /** Who asks for it, other than the listed package itself. */
  readonly parents: Set<string>;
  direct: boolean;
}

/**
 * What a user who installs `pkg` gets besides it, read from what is installed here. Peers are the user's to choose, so
 * only their ranges are listed, and of optional dependencies too, because which of them install depends on the machine.
 */
export function listDependencies(pkg: WorkspacePackage, reasons: Reasons): { listing: Listing; problems: Problem[] } {
  const { manifest, path } = pkg;
  const file = `${pkg.folder}/package.json`;
  const problems: Problem[] = [];
  const refuse = (message: string): void => {
    problems.push({ file, message });
  };
  const own = reasons[manifest.name] ?? {};
  const reason = (name: string): string => {
    if (!own[name]) refuse(`${name} has no reason in scripts/dependency-reasons.ts`);
    return own[name] ?? '';
  };
  const peers = manifest.peerDependencies ?? {};
  const installed = new Map<string, Installed>();
  const visit = (name: string, from: string, parent: string | undefined): void => {
    const found = findInstalled(from, name);
    if (!found) {
      refuse(`${name}, needed by ${parent ?? manifest.name}, is not installed`);
      return;
    }
    const child = readManifest(join(found, 'package.json'));
    const key = `${name}@${child.version}`;
    const known = installed.get(key);
    const entry = known ?? { manifest: child, licence: licenceOf(child.license), parents: new Set(), direct: false };
    if (parent === undefined) entry.direct = true;
    else entry.parents.add(parent);
    if (known) return;
    installed.set(key, entry);
    if (!isPermissive(entry.licence))
      refuse(`${key} is licensed ${entry.licence}, which is not on the list in scripts/licences.ts`);
    for (const next of neededBy(child)) if (!Object.hasOwn(peers, next)) visit(next, found, name);
  };
  for (const name of Object.keys(manifest.dependencies ?? {})) visit(name, path, undefined);
  const optional = Object.entries(manifest.optionalDependencies ?? {});
  const declared = new Set([...Object.keys({ ...manifest.dependencies, ...peers }), ...optional.map(([name]) => name)]);
  for (const name of Object.keys(own)) if (!declared.has(name)) refuse(`${name} has a reason but is not a dependency`);
  const rows = [
    ...[...installed.values()].map((entry) => rowOf(entry, reason)),
    ...optional.map(([name, range]) => ({ name, version: range, licence: 'optional', why: reason(name) })),
  ];
  const peerRows = Object.entries(peers).map(([name, version]) => {
    const isOptional = manifest.peerDependenciesMeta?.[name]?.optional === true;
    return { name, version, licence: isOptional ? 'optional peer' : 'peer', why: reason(name) };
  });
  return { listing: { packageName: manifest.name, rows: sorted(rows), peers: sorted(peerRows) }, problems };
}

/** The listings as the committed document. */
export function renderListings(listings: readonly Listing[]): string {
  const parts = listings.map(({ packageName, rows, peers }) => {
    const lines = [...rows, ...peers].map(cells);
    return `## ${packageName}\n\n${lines.length === 0 ? 'Nothing.' : table(['package', 'version', 'licence', 'why it is there'], lines)}\n`;
  });
  return `# Production dependencies

Everything that installing a published package brings along, with its licence and its reason. A peer is a package that
you install yourself, in the range given. Written by \`node scripts/list-dependencies.ts\`; CI fails when it is stale.

${parts.join('\n')}`;
}

/** Lines that differ, `-` for what is committed and `+` for what is true now. */
export function lineDiff(committed: string, now: string): string[] {
  const [before, after] = [committed.split('\n'), now.split('\n')];
  const removed = before.filter((line) => !after.includes(line)).map((line) => `- ${line}`);
  const added = after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`);
  return [...removed, ...added];
}

function rowOf({ manifest, licence, parents, direct }: Installed, reason: (name: string) => string): Row {
  const { name } = manifest;
  // Our own versions move with every release; the document shouldn't.
  const version = name.startsWith(SCOPE) ? 'workspace' : (manifest.version ?? 'none');
  return { name, version, licence, why: direct ? reason(name) : `through ${[...parents].sort().join(', ')}` };
}

function neededBy(manifest: Manifest): string[] {
  const optionalPeer = (name: string) => manifest.peerDependenciesMeta?.[name]?.optional === true;
  const peers = Object.keys(manifest.peerDependencies ?? {}).filter((name) => !optionalPeer(name));
  return [...Object.keys(manifest.dependencies ?? {}), ...peers];
}

/** Looks where Node looks: in the `node_modules` of every folder upwards from the real path. */
function findInstalled(from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name);
    if (existsSync(join(path, 'package.json'))) return realpathSync(path);
    if (folder === dirname(folder)) return undefined;
  }
}

function sorted(rows: readonly Row[]): Row[] {
  const key = ({ name, version }: Row) => `${name}@${version}`;
  return [...rows].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function cells({ name, version, licence, why }: Row): string[] {
  return [`\`${name}\``, version, licence, why].map((cell) => cell.replaceAll('|', '\\|'));
}

/** In columns, as the formatter lays a table out. */
function table(header: readonly string[], lines: readonly string[][]): string {
  const widths = header.map((_, column) => Math.max(...[header, ...lines].map((line) => line[column]?.length ?? 0)));
  const rule = widths.map((width) => '-'.repeat(width));
  const pad = (cell: string, column: number) => cell.padEnd(widths[column] ?? 0);
  return [header, rule, ...lines].map((line) => `| ${line.map(pad).join(' | ')} |`).join('\n');
}
