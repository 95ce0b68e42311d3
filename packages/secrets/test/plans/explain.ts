import type { Knex } from 'knex';
import type { Client } from 'pg';
import type { Sent } from './capture.ts';

/** Tables that a hot statement must never read from one end to the other. */
export const BIG: readonly string[] = ['secrets', 'secret_versions', 'secret_audit_log', 'secret_tenant_keys'];

/** What a plan reads: indexes by name, and big tables that it reads whole. */
export interface Plan {
  readonly indexes: readonly string[];
  readonly scanned: readonly string[];
}

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Node[];
}

/** PostgreSQL's plan of a statement with its bindings: what it makes of the statement the first times. */
export async function explainPostgres(pg: Client, { sql, bindings }: Sent): Promise<Plan> {
  const { rows } = await pg.query(`explain (format json) ${sql}`, [...bindings]);
  return planOf(rows);
}

/** The plan that a prepared statement may get later, whatever it is called with. */
export async function explainGeneric(pg: Client, { sql }: Sent): Promise<Plan> {
  const { rows } = await pg.query(`explain (generic_plan, format json) ${sql}`);
  return planOf(rows);
}

function planOf(rows: readonly { 'QUERY PLAN': readonly { Plan: Node }[] }[]): Plan {
  const nodes: Node[] = [];
  const visit = (node: Node): void => {
    nodes.push(node);
    node.Plans?.forEach(visit);
  };
  const root = rows[0]?.['QUERY PLAN'][0]?.Plan;
  if (root === undefined) throw new Error('There is no plan.');
  visit(root);
  return {
    indexes: nodes.flatMap((node) => node['Index Name'] ?? []),
    scanned: nodes
      .filter((node) => node['Node Type'] === 'Seq Scan')
      .flatMap((node) => node['Relation Name'] ?? [])
      .filter((table) => BIG.includes(table)),
  };
}

/**
 * SQLite's: it says SCAN of what it reads whole, and SCAN USING INDEX of what it reads in the order of one, such as the
 * rows of a partial index. Tables go by their aliases.
 */
export async function explainSqlite(knex: Knex, { sql, bindings }: Sent): Promise<Plan> {
  const steps = (await knex.raw(`explain query plan ${sql}`, bindings as never)) as readonly { detail: string }[];
  const details = steps.map(({ detail }) => detail);
  const aliases = new Map(
    [...sql.matchAll(/[`"]?\b(secrets|secret_[a-z_]+)[`"]? as [`"]?(\w+)[`"]?/gi)].map(([, table = '', alias = '']) => [
      alias,
      table,
    ]),
  );
  return {
    indexes: details.flatMap((detail) => /USING (?:COVERING )?INDEX (\w+)/.exec(detail)?.[1] ?? []),
    scanned: details
      .flatMap((detail) => /^SCAN (\w+)\b(?! USING)/.exec(detail)?.[1] ?? [])
      .map((name) => aliases.get(name) ?? name)
      .filter((table) => BIG.includes(table)),
  };
}
