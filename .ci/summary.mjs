// Usage: node summary.mjs <vitest's JSON report> [step that failed …]
// Names what failed and what was skipped, then prints `N passed, N failed, N skipped`; exits 1 unless all of it passed.
// Plain JavaScript, because it must run where the install failed and only the system's Node is there.
import { readFileSync } from 'node:fs';

const [reportFile, ...failedSteps] = process.argv.slice(2);

/** A report that is missing or cut short has no files, which is a failure below. */
function readFiles() {
  try {
    return JSON.parse(readFileSync(reportFile, 'utf8')).testResults ?? [];
  } catch {
    return [];
  }
}

const failed = [];
const skipped = [];
let passed = 0;
for (const { name, status, message, assertionResults = [] } of readFiles()) {
  const before = failed.length;
  for (const test of assertionResults) {
    const title = `${name}: ${test.fullName}`;
    if (test.status === 'passed') passed++;
    else if (test.status === 'failed') failed.push(title);
    else skipped.push(title);
  }
  // A file that doesn't load, or a hook that throws, fails no test of its own.
  if (status === 'failed' && failed.length === before) failed.push(`${name}: ${message || 'failed outside of a test'}`);
}
if (passed === 0) failed.push('no test passed: the report is missing or empty');
// The test step fails when a test does; that is one failure, not two.
const ownFailures = failedSteps.filter((step) => step !== 'test' || failed.length === 0);
failed.push(...ownFailures.map((step) => `step: ${step}`));

for (const title of skipped) console.log(`skipped: ${title}`);
for (const title of failed) console.log(`failed: ${title}`);
console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
process.exitCode = failed.length > 0 || skipped.length > 0 ? 1 : 0;
