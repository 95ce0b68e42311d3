import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Packed } from './tarball.ts';
import { type Manifest, SCOPE } from './workspace.ts';

const TIMEOUT_MS = 30_000;

/**
 * Imports every export and asks every bin for `--help`, as a user's program would who installed the tarball: with its
 * dependencies from `installed`, the node_modules that has them, and without its devDependencies. Optional peers are
 * there for the subpaths, but not for the package's root, which must load without them.
 *
 * Precondition: packages of ours that it depends on are unpacked beside it, with what they require.
 */
export function smokeProblems(packed: Packed, installed: string): string[] {
  const { manifest } = packed;
  const subpaths = Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => (target ? [subpath] : []));
  if (subpaths.length === 0) return ['package.json exports nothing'];
  linkRequired(packed, installed);
  const root = subpaths.includes('.') ? importProblems(packed, '.') : [];
  linkAll(packed, installed, optionalPeers(manifest));
  const others = subpaths.filter((subpath) => subpath !== '.').flatMap((subpath) => importProblems(packed, subpath));
  const bins = Object.entries(manifest.bin ?? {}).flatMap(([name, file]) => binProblems(packed, name, file));
  return [...root, ...others, ...bins];
}

/** Puts what a package cannot do without into its node_modules, out of `installed`. */
export function linkRequired(packed: Packed, installed: string): void {
  linkAll(packed, installed, requiredBy(packed.manifest));
}

function requiredBy(manifest: Manifest): string[] {
  const optional = new Set(optionalPeers(manifest));
  const peers = Object.keys(manifest.peerDependencies ?? {}).filter((name) => !optional.has(name));
  return [...Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }), ...peers];
}

function optionalPeers(manifest: Manifest): string[] {
  const meta = manifest.peerDependenciesMeta ?? {};
  return Object.keys(manifest.peerDependencies ?? {}).filter((name) => meta[name]?.optional === true);
}

function linkAll({ path }: Packed, installed: string, names: readonly string[]): void {
  for (const name of names) {
    const from = join(installed, name);
    const to = join(path, 'node_modules', name);
    if (name.startsWith(SCOPE) || existsSync(to) || !existsSync(from)) continue;
    mkdirSync(dirname(to), { recursive: true });
    symlinkSync(realpathSync(from), to, 'junction');
  }
}

function importProblems(packed: Packed, subpath: string): string[] {
  const specifier = packed.manifest.name + subpath.slice(1);
  if (subpath.includes('*')) return [`${subpath}: write every subpath out; a pattern cannot be tried`];
  const json = subpath.endsWith('.json');
  const code = `
    const loaded = await import(${JSON.stringify(specifier)}${json ? ', { with: { type: "json" } }' : ''});
    if (Object.keys(loaded).length === 0) throw new Error('it exports nothing');
    for (const [name, value] of Object.entries(loaded)) {
      // A bundler renames a class that speaks of itself, and logs would show an error of another name.
      const isClass = typeof value === 'function' && String(value).startsWith('class ');
      if (isClass && value.name !== name) throw new Error('its class ' + name + ' is called ' + value.name);
    }`;
  const { failure, output } = runNode(packed, ['--input-type=module', '--eval', code]);
  if (failure) return [`import ${specifier}: ${failure}`];
  return output === '' ? [] : [`import ${specifier} prints: ${output}`];
}

function binProblems(packed: Packed, name: string, file: string): string[] {
  const path = join(packed.path, file);
  if (!existsSync(path)) return [`bin ${name}: ${file} is not in the tarball`];
  if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node\n')) return [`bin ${name}: ${file} has no #! line`];
  const { failure, output } = runNode(packed, [path, '--help']);
  if (failure) return [`bin ${name} --help: ${failure}`];
  return output === '' ? [`bin ${name} --help prints nothing`] : [];
}

/** Runs in the folder that has the package in its node_modules, with nothing of this process's environment but PATH. */
function runNode({ path, manifest }: Packed, args: readonly string[]): { failure?: string; output: string } {
  const cwd = path.slice(0, -join('node_modules', manifest.name).length);
  const env = { PATH: process.env.PATH ?? '' };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env,
    encoding: 'utf8',
    input: '',
    timeout: TIMEOUT_MS,
  });
  const output = `${stdout}${stderr}`.trim();
  if (status === null) return { failure: `still running after ${TIMEOUT_MS / 1000} s`, output };
  return status === 0 ? { output } : { failure: /^\w*Error.*$/m.exec(output)?.[0] ?? `exit code ${status}`, output };
}
