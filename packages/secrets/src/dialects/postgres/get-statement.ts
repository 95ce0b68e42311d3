import { quoted, type Tables } from '../../tables.ts';
import type { GetForm, GetKind, Statement, Typed } from '../statement.ts';

/** A parameter's name and type; of many, its name and the type of an array with an element for each. */
interface Parameter {
  readonly name: string;
  readonly type: string;
  /** One value for all, however many are asked for. */
  readonly shared?: true;
}

// By name or by id, the other being null; version null for the current one.
const KEYS: readonly Parameter[] = [
  { name: 'name', type: 'text' },
  { name: 'id', type: 'uuid' },
  { name: 'version', type: 'integer' },
  // When they are read: what has expired by then is not readable.
  { name: 'read_at', type: 'timestamptz', shared: true },
];

const AUDIT: readonly Parameter[] = [
  { name: 'audit_id', type: 'uuid' },
  { name: 'actor', type: 'text' },
  { name: 'payload', type: 'bytea' },
  { name: 'salt', type: 'bytea' },
  { name: 'payload_hash', type: 'bytea' },
  // Where the input of a row's MAC starts in `mac_inputs`, from 1, and how long it is.
  { name: 'mac_start', type: 'integer' },
  { name: 'mac_length', type: 'integer' },
  // For each row: the outer pad of its key, the inner pad, the canonical row up to its tail.
  { name: 'mac_inputs', type: 'bytea', shared: true },
  // Id of the audit key, as it stands in front of a MAC.
  { name: 'audit_kid', type: 'bytea', shared: true },
];

/** Bytes of a pad: the block of SHA-256. */
const PAD = 64;

/** What of a secret is returned, as it is stored but for times, which are seconds since 1970. */
const COLUMNS: readonly Typed[] = [
  ['n', 'bigint'],
  ['readable', 'boolean'],
  ['id', 'uuid'],
  ['name', 'text'],
  ['auth_type', 'text'],
  ['description', 'text'],
  ['metadata', 'jsonb'],
  ['tags', 'jsonb'],
  ['current_version', 'integer'],
  ['binding', 'bytea'],
  ['cas_required', 'boolean'],
  ['max_versions', 'integer'],
  ['expires_at', 'float8'],
  ['created_at', 'float8'],
  ['updated_at', 'float8'],
  ['created_by', 'text'],
  ['version', 'integer'],
  ['wrapped_dek', 'bytea'],
  ['ciphertext', 'bytea'],
  ['kek_id', 'uuid'],
  ['status', 'text'],
];

const NAMES: Readonly<Record<GetForm, Readonly<Record<GetKind, string>>>> = {
  one: { audited: 'secret_get', unaudited: 'secret_read' },
  many: { audited: 'secret_get_many', unaudited: 'secret_read_many' },
};

/**
 * Reads secrets with their values and tenant keys and, if audited, writes the audit rows of those that are readable: one
 * round trip. A secret that is missing has no row in the answer and none in the log; one that is not readable (expired,
 * version or key gone, a row put back) has one in the answer only. `n` counts what is asked for, from 1.
 *
 * The plan must not depend on how many are asked for, else it would be made anew for every call: the array of tenants
 * comes in through a subquery, whose length the planner does not look at, and each key is looked up by itself, whatever
 * the statistics say. An array that is too short is filled up with nulls. One secret has a form of its own, because
 * arrays cost a lone caller a quarter of the round trip.
 */
export function getStatement(tables: Tables, kind: GetKind, form: GetForm): Statement {
  const many = form === 'many';
  const parameters: readonly Typed[] = [
    ['tenants', 'text[]'],
    ...(kind === 'audited' ? [...KEYS, ...AUDIT] : KEYS).map(
      ({ name, type, shared }): Typed => [many && !shared ? `${name}s` : name, many && !shared ? `${type}[]` : type],
    ),
  ];
  const value = (name: string): string => {
    const index = parameters.findIndex(([parameter]) => parameter === name || parameter === `${name}s`);
    const type = parameters[index]?.[1] ?? '';
    return type.endsWith('[]') ? `($${index + 1}::${type})[${many ? 'a.n' : '1'}]` : `$${index + 1}::${type}`;
  };
  const secrets = quoted(tables.secrets);
  const versions = quoted(tables.versions);
  const tenant = many ? 'a.tenant_id' : value('tenant');
  const found = `
    select ${many ? 'a.n' : '1::bigint as n'}, s.tenant_id, s.id, s.name, s.auth_type, s.description, s.metadata, s.tags,
      s.current_version, s.binding, s.cas_required, s.max_versions, s.expires_at, s.created_at, s.updated_at,
      s.created_by, v.version, v.wrapped_dek, v.ciphertext, v.kek_id, v.status,
      v.wrapped_dek is not null and v.ciphertext is not null and v.destroyed_at is null
        and v.has_key and v.status in ('active', 'decrypt-only')
        and (s.expires_at is null or s.expires_at > ${value('read_at')})
        and not exists (
          select from ${versions} as w
          where w.tenant_id = s.tenant_id and w.secret_id = s.id and w.version > s.current_version
        ) as readable
    from ${many ? 'unnest((select $1::text[])) with ordinality as a (tenant_id, n) cross join lateral ' : ''}(
      select * from ${secrets} as s
      where s.tenant_id = ${tenant} and s.name = ${value('name')} and not s.is_deleted
      union all
      select * from ${secrets} as s where s.tenant_id = ${tenant} and s.id = ${value('id')} and not s.is_deleted
      limit 1
    ) as s
    left join lateral (
      select v.version, v.wrapped_dek, v.ciphertext, v.destroyed_at, k.kek_id, k.status,
        k.wrapped is not null as has_key
      from ${versions} as v
      left join ${quoted(tables.tenantKeys)} as k on k.tenant_id = v.tenant_id and k.kek_id = v.kek_id
      where v.tenant_id = s.tenant_id and v.secret_id = s.id
        and v.version = coalesce(${value('version')}, s.current_version)
      limit 1
    ) as v on true`;
  // A function's rows must be of its very types; from varchar to text nothing has to be done.
  const answer = `select ${COLUMNS.map(([name, type]) => answerOf(name, type)).join(', ')}`;
  const shape = { name: NAMES[form][kind], parameters, columns: COLUMNS };
  if (kind === 'unaudited') return { ...shape, sql: `${answer} from (${found}) as found` };
  const sql = `with found as materialized (${found}), logged as (
    insert into ${quoted(tables.auditLog)} (tenant_id, id, at, actor, action, secret_id, secret_name, version, outcome,
      context, payload, salt, payload_hash, mac)
    select tenant_id, ${value('audit_id')}, ${value('read_at')}, ${value('actor')}, 'secret.get', id, name, version,
      'success', '{}', ${value('payload')}, ${value('salt')}, ${value('payload_hash')}, ${mac(value)}
    from found as a where readable
  ) ${answer} from found`;
  return { ...shape, sql };
}

function answerOf(name: string, type: string): string {
  if (type === 'float8') return `date_part('epoch', ${name}) as ${name}`;
  return type === 'text' ? `${name}::text` : name;
}

/** HMAC-SHA-256 of the canonical row, with its key id in front: `rowMac` of audit/canonical.ts. */
function mac(value: (name: string) => string): string {
  const outer = `substring(${value('mac_inputs')} from ${value('mac_start')} for ${PAD})`;
  const inner = `substring(${value('mac_inputs')} from ${value('mac_start')} + ${PAD} for ${value('mac_length')} - ${PAD})`;
  // As `canonicalTail` writes it. A UUID has 36 characters, and no character of a version has two bytes.
  const tail = [
    `'\\x00000024'::bytea || convert_to(id::text, 'UTF8')`,
    `int4send(octet_length(convert_to(name, 'UTF8'))) || convert_to(name, 'UTF8')`,
    `int4send(length(version::text)) || convert_to(version::text, 'UTF8')`,
  ];
  return `${value('audit_kid')} || sha256(${outer} || sha256(${inner} || ${tail.join(' || ')}))`;
}
