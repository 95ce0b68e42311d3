import type { Logger } from '@keywright/envelope';
import type { Knex } from 'knex';
import { invalidArgument } from '../arguments.ts';
import type { StoreCore } from '../core.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { SecretsError } from '../errors.ts';
import type { Tables } from '../tables.ts';
import { AuditKeys } from './audit-keys.ts';
import type { AuditLog } from './audit-log.ts';
import { type NoteKey, parseVerifierKey } from './note.ts';
import type { AuditSigner } from './signer.ts';
import { verifierKey } from './signer.ts';

/** What sealing, verification and retention of the log work with. */
export interface AuditEnvironment {
  /** Sees every tenant; never a transaction. */
  readonly knex: Knex;
  readonly dialect: Dialect;
  readonly tables: Tables;
  readonly audit: AuditLog;
  readonly keys: AuditKeys;
  readonly signer: AuditSigner | undefined;
  /** Of this signer and of earlier ones. */
  readonly noteKeys: readonly NoteKey[];
  readonly logger: Logger | undefined;
}

/**
 * @throws SecretsError `ERR_SECRETS_INVALID_ARGUMENT` for a store that was made on a transaction: checkpoints are signed
 * outside of any
 */
export async function auditEnvironment(core: StoreCore): Promise<AuditEnvironment> {
  const { connections, tables, audit, tenantKeys, logger } = core;
  const knex = await connections.sweeping();
  if (knex.isTransaction) throw invalidArgument('knex', 'a knex instance', 'a transaction');
  const { signer, verifierKeys = [] } = core.options.audit ?? {};
  const texts = signer === undefined ? verifierKeys : [verifierKey(signer), ...verifierKeys];
  return {
    knex,
    dialect: connections.dialect,
    tables,
    audit,
    keys: new AuditKeys(connections, tenantKeys, audit),
    signer,
    noteKeys: texts.map((text) => parseVerifierKey(text, 'audit.verifierKeys')),
    logger,
  };
}

/** @throws SecretsError `ERR_SECRETS_SIGNER_MISSING` */
export function signerOf({ signer }: Pick<AuditEnvironment, 'signer'>): AuditSigner {
  if (signer === undefined) throw new SecretsError('ERR_SECRETS_SIGNER_MISSING');
  return signer;
}
