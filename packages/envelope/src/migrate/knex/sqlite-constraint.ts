import type { ColumnConstraint, ColumnRule, EnvelopeForm } from '../rule.ts';
import { constraintName } from './postgres-constraint.ts';

/** A column of SQLite, with its names quoted. */
export interface TriggeredColumn {
  readonly table: string;
  readonly column: string;
  readonly key: readonly string[];
  /** Quotes the name of a trigger. */
  readonly name: (text: string) => string;
  readonly prefix: string;
}

const SUITES = ['A256GCM', 'XC20P', 'XS20P'];
const PART = '[A-Za-z0-9_-]*';

/** Triggers, because SQLite adds no CHECK to a table that exists. */
export function sqliteConstraint(
  rule: ColumnRule,
  { table, column, key, name, prefix }: TriggeredColumn,
): ColumnConstraint {
  const plain = constraintName(prefix, rule);
  const triggers = { insert: name(`${plain}_insert`), update: name(`${plain}_update`) };
  const breaks = (value: string): string => `${value} is not null and (${conditionOf(value, rule)}) is not true`;
  const body = `for each row when ${breaks(`new.${column}`)} begin select raise(abort, '${plain.replaceAll("'", "''")}'); end`;
  return {
    add: [
      `create trigger ${triggers.insert} before insert on ${table} ${body}`,
      `create trigger ${triggers.update} before update of ${column} on ${table} ${body}`,
    ],
    validate: [`select ${key.join(', ')} from ${table} where ${breaks(column)}`],
    drop: [`drop trigger ${triggers.insert}`, `drop trigger ${triggers.update}`],
  };
}

function conditionOf(value: string, rule: ColumnRule): string {
  const conditions: Readonly<Record<EnvelopeForm, (value: string, rule: ColumnRule) => string>> = {
    text,
    object,
    bytes,
  };
  return rule.forms.map((form) => `(${conditions[form](value, rule)})`).join(' or ');
}

function text(value: string, { notKid }: ColumnRule): string {
  const begins = SUITES.map((suite) => `${value} glob 'kw2.${suite}.${PART}.${PART}.${PART}'`).join(' or ');
  const kid =
    notKid === undefined ? '' : SUITES.map((suite) => ` and ${value} not glob 'kw2.${suite}.${notKid}.*'`).join('');
  return `typeof(${value}) = 'text' and ${isWhole(value)} and (${begins}) and ${value} not glob '*[^A-Za-z0-9_.-]*' and ${value} not glob '*.*.*.*.*.*'${kid}`;
}

function object(value: string, { versions, notKid }: ColumnRule): string {
  const conditions = [
    `json_type(${value}, '$.__enc') = 'integer'`,
    `json_extract(${value}, '$.__enc') in (${versions.join(', ')})`,
    `json_type(${value}, '$.kid') = 'text'`,
    `json_extract(${value}, '$.kid') not glob '*[^A-Za-z0-9_-]*'`,
    `json_type(${value}, '$.iv') = 'text'`,
    `json_type(${value}, '$.ct') = 'text'`,
    `(json_type(${value}, '$.alg') is null or json_type(${value}, '$.alg') = 'text' and json_extract(${value}, '$.alg') in ('XC20P', 'XS20P'))`,
    `json_remove(${value}, '$.__enc', '$.alg', '$.kid', '$.iv', '$.ct') = '{}'`,
    ...(notKid === undefined ? [] : [`json_extract(${value}, '$.kid') <> '${notKid}'`]),
  ];
  return `case when typeof(${value}) = 'text' and ${isWhole(value)} and json_valid(${value}) then ${conditions.join(' and ')} else 0 end`;
}

function bytes(value: string, { notKid }: ColumnRule): string {
  const kid = notKid === undefined ? '' : ` and ${hexOf(value, 5, 1 + notKid.length)} <> '${kidHex(notKid)}'`;
  return `typeof(${value}) = 'blob' and length(${value}) > 5 and ${hexOf(value, 1, 3)} = '4B5702' and ${hexOf(value, 4, 1)} between '01' and '03' and ${hexOf(value, 5, 1)} between '01' and '40'${kid}`;
}

/** SQLite's functions of text stop at a NUL, behind which anything could stand. */
function isWhole(value: string): string {
  return `instr(${value}, char(0)) = 0`;
}

function hexOf(value: string, start: number, length: number): string {
  return `hex(substr(${value}, ${start}, ${length}))`;
}

/** Length and kid, as they stand in a bytes envelope. */
function kidHex(kid: string): string {
  return Buffer.from([kid.length, ...Buffer.from(kid)])
    .toString('hex')
    .toUpperCase();
}
