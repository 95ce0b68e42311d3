import { createHash } from 'node:crypto';
import type { ColumnConstraint, ColumnRule } from '../rule.ts';

/** A column of PostgreSQL, with its names quoted. */
export interface ConstrainedColumn {
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** Quotes the name of a constraint. */
  readonly name: (text: string) => string;
  readonly prefix: string;
}

/** PostgreSQL cuts longer names. */
const MAX_NAME = 63;
// No question mark anywhere: knex.raw takes one for a binding.
const TOKEN = String.raw`'^kw2\.(A256GCM|XC20P|XS20P)\.[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'`;
const KID = `'^[A-Za-z0-9_-]{1,64}$'`;

/** A CHECK constraint. A condition that is null counts as met, so every condition is compared with true. */
export function postgresConstraint(rule: ColumnRule, target: ConstrainedColumn): ColumnConstraint {
  const { table, column, type } = target;
  const name = target.name(constraintName(target.prefix, rule));
  const isNull =
    type === 'json' || type === 'jsonb' ? `${column} is null or ${column}::jsonb = 'null'` : `${column} is null`;
  const check = `check (${isNull} or (${conditionOf(rule, target)}) is true)`;
  return {
    add: [`alter table ${table} add constraint ${name} ${check} not valid`],
    validate: [`alter table ${table} validate constraint ${name}`],
    drop: [`alter table ${table} drop constraint ${name}`],
  };
}

/** Of table and column and what the rule is about; with a hash where it would be too long. */
export function constraintName(prefix: string, { versions, notKid }: ColumnRule): string {
  const suffix = notKid === undefined ? (versions.includes(1) ? 'encrypted' : 'v2') : `not_${notKid}`;
  const name = `${prefix}_${suffix}`;
  if (Buffer.byteLength(name) <= MAX_NAME) return name;
  return `keywright_${createHash('sha256').update(name).digest('hex').slice(0, 32)}`;
}

function conditionOf(rule: ColumnRule, { column, type }: ConstrainedColumn): string {
  if (type === 'bytea') return bytes(column, rule);
  if (type === 'json' || type === 'jsonb') {
    const json = `${column}::jsonb`;
    if (!rule.forms.includes('text')) return object(json, rule);
    const text = token(`(${json} #>> '{}')`, rule);
    return `case when jsonb_typeof(${json}) = 'string' then ${text} else ${object(json, rule)} end`;
  }
  if (!rule.forms.includes('object')) return token(column, rule);
  return `case when left(${column} collate "C", 4) = 'kw2.' then ${token(column, rule)} else ${object(`${column}::jsonb`, rule)} end`;
}

// Byte by byte: under a collation that ignores case another kid would be taken for the retired one.
function token(text: string, { notKid }: ColumnRule): string {
  const kid = notKid === undefined ? '' : ` and split_part(${text} collate "C", '.', 3) <> '${notKid}'`;
  return `${text} collate "C" ~ ${TOKEN}${kid}`;
}

function object(json: string, { versions, notKid }: ColumnRule): string {
  const conditions = [
    `${json} -> '__enc' in (${versions.map((version) => `'${version}'`).join(', ')})`,
    `jsonb_typeof(${json} -> 'kid') = 'string'`,
    `${json} ->> 'kid' ~ ${KID}`,
    `${json} -> 'alg' is null or ${json} -> 'alg' in ('"XC20P"', '"XS20P"')`,
    `jsonb_typeof(${json} -> 'iv') = 'string'`,
    `jsonb_typeof(${json} -> 'ct') = 'string'`,
    `${json} - array['__enc', 'alg', 'kid', 'iv', 'ct'] = '{}'`,
    ...(notKid === undefined ? [] : [`${json} ->> 'kid' <> '${notKid}'`]),
  ];
  return `case when jsonb_typeof(${json}) = 'object' then ${conditions.map((each) => `(${each})`).join(' and ')} else false end`;
}

function bytes(column: string, { notKid }: ColumnRule): string {
  const conditions = [
    `substring(${column} from 1 for 3) = '\\x4b5702'`,
    `get_byte(${column}, 3) between 1 and 3`,
    `get_byte(${column}, 4) between 1 and 64`,
    ...(notKid === undefined
      ? []
      : [`substring(${column} from 6 for get_byte(${column}, 4)) <> '\\x${Buffer.from(notKid).toString('hex')}'`]),
  ];
  return `case when octet_length(${column}) > 5 then ${conditions.join(' and ')} else false end`;
}
