import type { Knex } from 'knex';

/** Tables that are filled, those that others refer to first. */
const TABLES = ['secrets', 'secret_versions', 'secret_audit_log'] as const;
/** Tenants that the rows are of; each has about as many. */
const TENANTS = 10_000;
const BATCH = 500_000;

/** Bytes of a stored version of 256 bytes, and of what goes with it. */
const BYTES = { binding: 48, wrappedDek: 173, ciphertext: 398, mac: 48 } as const;

/**
 * Adds so many secrets with a version and an audit row each, of the size that the store writes, by SQL: nobody reads
 * them, so nothing of them decrypts. Constraints and indexes are made anew afterwards, which is faster; foreign keys
 * are kept from then on and not looked at again. `between` is called now and then, so that what is to be read does not
 * lie together.
 */
export async function fillSecrets(
  knex: Knex,
  secrets: number,
  between: (share: number) => Promise<void>,
  progress: (line: string) => void,
): Promise<void> {
  const definitions = await dropIndexes(knex);
  const batches = Math.ceil(secrets / BATCH);
  for (let batch = 0; batch < batches; batch++) {
    const from = batch * BATCH + 1;
    await insertRows(knex, from, Math.min(secrets, from + BATCH - 1));
    await between((batch + 1) / batches);
    progress(`${Math.min(secrets, from + BATCH - 1).toLocaleString('en')} secrets`);
  }
  await knex.transaction(async (trx) => {
    await trx.raw("set local maintenance_work_mem = '1GB'");
    for (const definition of definitions) {
      progress(`${definition.slice(0, 60)} …`);
      await trx.raw(definition);
    }
  });
  progress('vacuum analyze');
  await knex.raw('vacuum analyze');
}

async function insertRows(knex: Knex, from: number, to: number): Promise<void> {
  const range = [from, to];
  const tenant = `'filler-' || lpad((i % ${TENANTS})::text, 6, '0')`;
  const id = (kind: string): string => `(lpad(to_hex(i), 12, '0') || substr(md5('${kind}' || i), 13))::uuid`;
  // PostgreSQL compresses no row that is as short as these
  const bytes = (length: number): string =>
    `substring(decode(repeat(md5('' || i), ${Math.ceil(length / 16)}), 'hex') for ${length})`;
  const secrets = knex.raw(
    `insert into secrets (tenant_id, id, name, metadata, current_version, binding, created_at, updated_at, created_by)
      select ${tenant}, ${id('s')}, 'connection-' || lpad((i / ${TENANTS})::text, 8, '0'), '{}', 1, ${bytes(BYTES.binding)},
        now(), now(), 'filler'
      from generate_series(?::int, ?::int) as i`,
    range,
  );
  const versions = knex.raw(
    `insert into secret_versions (tenant_id, secret_id, version, kek_id, wrapped_dek, ciphertext, created_at, created_by)
      select ${tenant}, ${id('s')}, 1, md5((i % ${TENANTS})::text)::uuid, ${bytes(BYTES.wrappedDek)},
        ${bytes(BYTES.ciphertext)}, now(), 'filler'
      from generate_series(?::int, ?::int) as i`,
    range,
  );
  const auditRows = knex.raw(
    `insert into secret_audit_log
        (tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome, context, mac, leaf_index)
      select ${tenant}, ${id('a')}, now(), 'filler', 'secret.save', ${id('s')},
        'connection-' || lpad((i / ${TENANTS})::text, 8, '0'), 1, 'success', '{}', ${bytes(BYTES.mac)}, 1000000 + i
      from generate_series(?::int, ?::int) as i`,
    range,
  );
  // at once: each of them is the work of one core
  await Promise.all([secrets, versions, auditRows]);
}

/** Drops them; returns what makes them again, in order. */
async function dropIndexes(knex: Knex): Promise<readonly string[]> {
  const constraints = await knex.raw(
    `select conrelid::regclass::text as table, conname as name, contype::text as type, pg_get_constraintdef(oid) as definition
      from pg_constraint where conrelid::regclass::text = any(?) and contype in ('p', 'f')
      order by contype = 'p'`,
    [[...TABLES]],
  );
  const rows = constraints.rows as readonly { table: string; name: string; type: string; definition: string }[];
  for (const { table, name } of rows) await knex.raw('alter table ?? drop constraint ??', [table, name]);
  const indexes = await knex.raw(
    `select indexname as name, indexdef as definition from pg_indexes
      where schemaname = 'public' and tablename = any(?)`,
    [[...TABLES]],
  );
  const others = indexes.rows as readonly { name: string; definition: string }[];
  for (const { name } of others) await knex.raw('drop index ??', [name]);
  const again = rows
    .toReversed()
    .map(
      ({ table, name, type, definition }) =>
        `alter table ${table} add constraint ${name} ${definition}${type === 'f' ? ' not valid' : ''}`,
    );
  return [...again.filter((sql) => !sql.endsWith('not valid')), ...others.map(({ definition }) => definition)].concat(
    again.filter((sql) => sql.endsWith('not valid')),
  );
}
