#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { generateKeyBase64 } from '../keys.ts';

const USAGE = `Usage: keywright-keygen [--env] [--prefix NAME]

Prints a new 32-byte encryption key as base64. The key is shown once and stored nowhere.

  --env           print it as a line for a .env file: KEYWRIGHT_KEY=…
  --prefix NAME   start of the variable's name, with --env (default KEYWRIGHT)
  -h, --help      print this text
`;

function main(): number {
  let values: { env?: boolean; prefix?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      options: { env: { type: 'boolean' }, prefix: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }));
  } catch {
    process.stderr.write(USAGE);
    return 2;
  }
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.prefix !== undefined && (!values.env || !/^[A-Z_][A-Z0-9_]*$/.test(values.prefix))) {
    process.stderr.write(USAGE);
    return 2;
  }
  const key = generateKeyBase64();
  process.stdout.write(values.env ? `${values.prefix ?? 'KEYWRIGHT'}_KEY=${key}\n` : `${key}\n`);
  return 0;
}

process.exitCode = main();
