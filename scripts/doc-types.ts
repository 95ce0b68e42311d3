import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import type { DocBlock } from './doc-blocks.ts';
import { type Problem, SCOPE, workspacePackages } from './workspace.ts';

/** Ignored by git, and below the root, so that what the root has installed resolves. */
const FOLDER = 'node_modules/.cache/keywright-docs';

/**
 * Type errors of the blocks, at the lines where they are written. The blocks are checked together under
 * `tsconfig.base.json`, against the built packages; only unused names are allowed, since an example often ends with one.
 */
export function typeProblems(root: string, blocks: readonly DocBlock[]): Problem[] {
  const folder = join(root, FOLDER);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
  linkPackages(root, join(folder, 'node_modules'));
  const written = new Map<string, DocBlock>();
  for (const [index, block] of blocks.entries()) {
    const name = `${index}-${block.file.replaceAll(/[^\w.-]/g, '-')}-${block.line}.ts`;
    const path = ts.sys.resolvePath(join(folder, name)).replaceAll('\\', '/');
    writeFileSync(path, block.code);
    written.set(path, block);
  }
  const { config, error } = ts.readConfigFile(join(root, 'tsconfig.base.json'), ts.sys.readFile);
  if (error) return [{ file: 'tsconfig.base.json', message: text(error) }];
  const parsed = ts.parseJsonConfigFileContent({ ...(config as object), files: [...written.keys()] }, ts.sys, folder);
  const options = {
    ...parsed.options,
    noEmit: true,
    // Also without an import or export, so that two blocks may use the same names.
    moduleDetection: ts.ModuleDetectionKind.Force,
    declaration: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
  const diagnostics =
    blocks.length === 0 ? [] : ts.getPreEmitDiagnostics(ts.createProgram([...written.keys()], options));
  return [...diagnostics].map((diagnostic) => problemOf(diagnostic, written));
}

/** Makes whatever any package depends on importable from a block, our own packages by their built types. */
function linkPackages(root: string, target: string): void {
  const linked = new Set<string>();
  const link = (name: string, path: string): void => {
    if (linked.has(name)) return;
    linked.add(name);
    const at = join(target, name);
    mkdirSync(dirname(at), { recursive: true });
    symlinkSync(path, at, 'junction');
  };
  const packages = workspacePackages(root);
  for (const { manifest, path } of packages) link(manifest.name, path);
  for (const { path } of packages) {
    for (const name of installedIn(join(path, 'node_modules'))) link(name, join(path, 'node_modules', name));
  }
}

function installedIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return names.flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(folder, name)).map((inner) => `${name}/${inner}`) : [name],
  );
}

function problemOf(diagnostic: ts.Diagnostic, written: ReadonlyMap<string, DocBlock>): Problem {
  const { file, start } = diagnostic;
  const block = file && written.get(file.fileName);
  if (!file || !block) return { file: file?.fileName ?? 'tsconfig.base.json', message: text(diagnostic) };
  const offset = file.getLineAndCharacterOfPosition(start ?? 0).line;
  const lastLine = block.line + block.code.split('\n').length - 1;
  return { file: block.file, line: Math.min(block.line + offset, lastLine), message: text(diagnostic) };
}

function text(diagnostic: ts.Diagnostic): string {
  const message = `TS${diagnostic.code}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n  ')}`;
  const unbuilt = message.includes(`module '${SCOPE}`) ? ' If the name is right, run `pnpm run build` first.' : '';
  return message + unbuilt;
}
