import { auditStatement } from '../dialects/postgres/audit-statement.ts';
import { getStatement } from '../dialects/postgres/get-statement.ts';
import { saveStateStatement } from '../dialects/postgres/save-state-statement.ts';
import { saveStatement } from '../dialects/postgres/save-statement.ts';
import { functionName, type Statement } from '../dialects/statement.ts';
import { MAX_DELETED } from '../operations/rows.ts';
import { quoted, type Tables } from '../tables.ts';
import { TENANT_SETTING } from './tenant-setting.ts';

/** A function that keeps a hot call at one round trip: it sets the tenant, runs one statement, and sets it back. */
export interface IsolatedFunction {
  /** Without schema, not quoted. */
  readonly plain: string;
  /** Quoted, with its schema. */
  readonly name: string;
  /** Quoted name and the types of its parameters, as `to_regprocedure` takes them. */
  readonly signature: string;
  readonly body: string;
  /** `create function`, of invoker's rights: it may do and see what its caller may. */
  readonly sql: string;
}

/** @param tables with the schema that the functions are to be in */
export function isolatedFunctions(tables: Tables): readonly IsolatedFunction[] {
  return [
    getStatement(tables, 'audited', 'one'),
    getStatement(tables, 'unaudited', 'one'),
    getStatement(tables, 'audited', 'many'),
    getStatement(tables, 'unaudited', 'many'),
    auditStatement(tables),
    saveStateStatement(tables, MAX_DELETED),
    saveStatement(tables, 'many'),
  ].map((statement) => isolated(statement, tables));
}

function isolated(statement: Statement, tables: Tables): IsolatedFunction {
  const { parameters, columns } = statement;
  const name = quoted(functionName(statement, tables));
  const body = bodyOf(statement);
  const returns = columns.length === 0 ? 'void' : `table (${columns.map((column) => column.join(' ')).join(', ')})`;
  return {
    plain: tables.plain(statement.name),
    name,
    signature: `${name}(${parameters.map(([, type]) => type).join(', ')})`,
    body,
    sql: `create function ${name}(
  ${parameters.map(([parameter, type]) => `asked_${parameter} ${type}`).join(',\n  ')}
) returns ${returns}
language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp
as $keywright$${body}$keywright$`,
  };
}

/** What throws undoes the setting by itself: the database rolls back to where it was not made yet. */
function bodyOf(statement: Statement): string {
  const arrays = arraysOf(statement);
  return `
#variable_conflict use_column
declare
  tenant_before text := coalesce(current_setting('${TENANT_SETTING}', true), '');
  run_first integer := 1;
  run_last integer;
${arrays.map(({ run, type }) => `  ${run} ${type};\n`).join('')}begin
  perform set_config('${TENANT_SETTING}', $1[1], true);
  ${
    arrays.length === 1
      ? atOnce(statement)
      : `if $1[1] = all ($1) then
    ${atOnce(statement)}
  else
    ${inRuns(statement)}
  end if;`
  }
  perform set_config('${TENANT_SETTING}', tenant_before, true);
end
`;
}

function atOnce({ sql, columns }: Statement): string {
  return `${columns.length === 0 ? '' : 'return query '}${sql};`;
}

/**
 * Elements of one tenant side by side are a statement of their own, under that tenant: many tenants can share a round
 * trip and a commit, and none a statement.
 */
function inRuns(statement: Statement): string {
  const { columns, sql } = statement;
  const arrays = arraysOf(statement);
  const ofRun = sql.replaceAll(/\$(\d+)\b/g, (place) => arrays.find((array) => array.place === place)?.run ?? place);
  const names = columns.map(([name]) => name);
  // The statement counts the elements of the run from 1.
  const answers = `for ${names.join(', ')} in ${ofRun} loop
        ${names[0]} := ${names[0]} + run_first - 1;
        return next;
      end loop`;
  return `while run_first <= cardinality($1) loop
      run_last := run_first;
      while $1[run_last + 1] = $1[run_first] loop
        run_last := run_last + 1;
      end loop;
      ${arrays.map(({ run, place }) => `${run} := ${place}[run_first:run_last];`).join('\n      ')}
      perform set_config('${TENANT_SETTING}', $1[run_first], true);
      ${names.length === 0 ? ofRun : answers};
      run_first := run_last + 1;
    end loop;`;
}

/** Parameters with an element for each thing that is asked for, and what holds those of one run. */
function arraysOf({ parameters }: Statement): readonly { place: string; type: string; run: string }[] {
  return parameters
    .map(([, type], index) => ({ place: `$${index + 1}`, type, run: `run_${index + 1}` }))
    .filter(({ type }) => type.endsWith('[]'));
}
