// A backfill in a process of its own, which tells its parent of every batch and may be killed at any moment. Runs on the
// sources: Node strips the types.
import createKnex, { type Knex } from 'knex';
import { columnCodec } from '../../../src/columns/index.ts';
import { createKeyring } from '../../../src/index.ts';
import { type BackfillProgress, type BackfillResult, backfill, knexRowSource } from '../../../src/migrate/index.ts';

export interface BackfillSetup {
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly batchRows: number;
  readonly cursor?: string | undefined;
}

export type BackfillMessage = { readonly progress: BackfillProgress } | { readonly result: BackfillResult };

const setup = JSON.parse(process.argv[2] ?? '') as BackfillSetup;
const keyring = createKeyring({ keys: setup.keys, activeKid: 'v1' });
const codec = columnCodec({ keyring, table: 'connections', column: 'credentials', legacy: 'allow' });
const knex = createKnex(configOf(setup.url));
const send = (message: BackfillMessage): void => void process.send?.(message);
const result = await backfill({
  codec,
  source: knexRowSource({ knex, table: 'connections', column: 'credentials', key: 'id' }),
  from: { plaintext: true },
  batchRows: setup.batchRows,
  cursor: setup.cursor,
  onProgress: (progress) => send({ progress }),
});
await knex.destroy();
send({ result });
process.disconnect();

function configOf(url: string): Knex.Config {
  return url.startsWith('file:')
    ? { client: 'better-sqlite3', connection: { filename: new URL(url).pathname }, useNullAsDefault: true }
    : { client: 'pg', connection: url, pool: { min: 0, max: 3 } };
}
