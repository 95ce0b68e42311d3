import { v7 as uuidv7 } from 'uuid';
import type { NewAuditRow } from '../../audit/row.ts';
import { CONDITIONAL, SAVE_PARAMETERS, type SaveParameter, SETS } from '../../dialects/postgres/save-statement.ts';
import type { WritePlan } from '../plan.ts';

/** A save that was planned, as the statement takes it. */
export interface NewSave {
  readonly tenantId: string;
  readonly actor: string;
  readonly plan: WritePlan;
  /** Whether the caller has said which version it expects. */
  readonly conditional: boolean;
  readonly audit: NewAuditRow;
  /** Whether the change is recorded. */
  readonly recorded: boolean;
}

/** The statement's parameters, in order. */
export function valuesOf(saves: readonly NewSave[]): readonly unknown[] {
  const rows = saves.map(rowOf);
  return SAVE_PARAMETERS.map((parameter) => rows.map((row) => row[parameter] ?? null));
}

/** The parameters of a statement that takes one save. */
export function valuesOfOne(save: NewSave): readonly unknown[] {
  const row = rowOf(save);
  return SAVE_PARAMETERS.map((parameter) => row[parameter] ?? null);
}

function rowOf(save: NewSave): Readonly<Record<SaveParameter, unknown>> {
  const { tenantId, actor, plan, conditional, audit, recorded } = save;
  const { columns } = plan;
  return {
    tenants: tenantId,
    keks: plan.kekId,
    ids: plan.id,
    names: plan.name,
    was: plan.was,
    versions: plan.version,
    bindings: columns.binding,
    times: plan.updatedAt.toISOString(),
    actors: actor,
    wrapped_deks: plan.sealed?.wrappedDek,
    ciphertexts: plan.sealed?.ciphertext,
    remove_tos: plan.removeTo,
    metadatas: columns.metadata,
    cas: columns.cas_required,
    sets: setsOf(columns) | (conditional ? CONDITIONAL : 0),
    auth_types: columns.auth_type,
    descriptions: columns.description,
    tag_lists: columns.tags,
    expiries: columns.expires_at instanceof Date ? columns.expires_at.toISOString() : null,
    max_version_counts: 'max_versions' in columns ? columns.max_versions : plan.maxVersionsWas,
    audit_ids: audit.id,
    audit_times: audit.at.toISOString(),
    payloads: audit.payload,
    salts: audit.salt,
    payload_hashes: audit.payload_hash,
    macs: audit.mac,
    change_ids: recorded ? uuidv7() : null,
  };
}

function setsOf(columns: WritePlan['columns']): number {
  return Object.entries(SETS).reduce((bits, [column, bit]) => (column in columns ? bits | bit : bits), 0);
}
