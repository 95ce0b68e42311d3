// Writes docs/dependencies.md: what installing each published package brings along. With --check, fails if it is stale.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lineDiff, listDependencies, renderListings } from './dependencies.ts';
import { REASONS } from './dependency-reasons.ts';
import { report, workspacePackages } from './workspace.ts';

const DOCUMENT = 'docs/dependencies.md';
const root = process.cwd();
const path = join(root, DOCUMENT);
const published = workspacePackages(root).filter(({ manifest }) => !manifest.private);
const listed = published.map((pkg) => listDependencies(pkg, REASONS));
const problems = listed.flatMap((of) => of.problems);
const now = renderListings(listed.map((of) => of.listing));
if (process.argv.includes('--check')) {
  const committed = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (committed !== now) {
    const changes = lineDiff(committed, now).join('\n  ');
    problems.push({ file: DOCUMENT, message: `is stale; run \`node scripts/list-dependencies.ts\`\n  ${changes}` });
  }
} else if (problems.length === 0) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, now);
}
report(problems, `deps: ${DOCUMENT} lists the dependencies of ${published.length} packages`);
