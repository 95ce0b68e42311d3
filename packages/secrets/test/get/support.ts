import type { Knex } from 'knex';

/** Statements that a knex instance sends while `work` runs, transaction control apart. */
export async function statementsOf(knex: Knex, work: () => Promise<unknown>): Promise<readonly string[]> {
  const seen: string[] = [];
  const listen = ({ sql }: { readonly sql: string }): void => {
    if (!/^(?:begin|commit|rollback)/i.test(sql)) seen.push(sql);
  };
  knex.on('query', listen);
  try {
    await work();
  } finally {
    knex.removeListener('query', listen);
  }
  return seen;
}

/** How many audit rows of each kind a tenant has, by action and outcome. */
export async function audited(knex: Knex, tenantId: string, action = 'secret.get'): Promise<Record<string, number>> {
  const rows = (await knex('secret_audit_log').where({ tenant_id: tenantId, action }).select('outcome', 'context')) as {
    outcome: string;
    context: string;
  }[];
  const counts: Record<string, number> = {};
  for (const { outcome, context } of rows) {
    const code = (JSON.parse(context) as { code?: string }).code ?? outcome;
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}
