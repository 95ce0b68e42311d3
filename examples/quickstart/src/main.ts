import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readCredentials, type TenantCredentials } from './credentials.ts';
import { openPostgres, openSqlite } from './database.ts';
import { runDemo } from './demo.ts';
import { Report } from './report.ts';

const USAGE = `Usage: npm run demo -- [--postgres] [--tenant NAME=FILE[,FILE…] --tenant NAME=FILE[,FILE…]]

  --postgres   PostgreSQL instead of SQLite; it starts and ends with the demo
  --tenant     a tenant and its credential files (.env style or .json); give two, or none for those of the example
  -h, --help   this text
`;

const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.url));
const DEFAULT_TENANTS = [
  `acme=${data('acme.env')},${data('acme.json')}`,
  `globex=${data('globex.env')},${data('globex.json')}`,
];

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== '--'),
    options: {
      postgres: { type: 'boolean', default: false },
      tenant: { type: 'string', multiple: true, default: DEFAULT_TENANTS },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const tenants = await Promise.all(values.tenant.map(readTenant));
  if (new Set(tenants.map(({ tenant }) => tenant)).size !== 2) throw new Error('Give exactly two tenants.');
  const database = await (values.postgres ? openPostgres() : openSqlite());
  try {
    await runDemo(
      database,
      tenants,
      new Report(console.log, process.stdout.isTTY && process.env.NO_COLOR === undefined),
    );
    return 0;
  } finally {
    await database.close();
  }
}

async function readTenant(argument: string): Promise<TenantCredentials> {
  const [tenant = '', files = ''] = argument.split(/=(.*)/s);
  if (tenant === '' || files === '') throw new Error(`--tenant takes NAME=FILE[,FILE…].`);
  return await readCredentials(tenant, files.split(','));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
