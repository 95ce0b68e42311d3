// Fails where a package imports what the architecture doesn't let it import. The rules are in arrows.ts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { arrowProblems } from './arrows.ts';
import { findFiles, type Problem, report, workspacePackages } from './workspace.ts';

const problems: Problem[] = [];
let fileCount = 0;
const packages = workspacePackages(process.cwd());
for (const pkg of packages) {
  const paths = findFiles(pkg.path, ['src/**/*.{ts,mts,cts,tsx,js,mjs,cjs,jsx}']);
  fileCount += paths.length;
  problems.push(
    ...arrowProblems(pkg, new Map(paths.map((path) => [path, readFileSync(join(pkg.path, path), 'utf8')]))),
  );
}
report(problems, `arrows: ${fileCount} source files in ${packages.length} packages import only what they may`);
