import type { Knex } from 'knex';
import type { SignAlg } from '../../algorithms.ts';
import { invalidArgument } from '../../arguments.ts';
import { KmsError } from '../../errors.ts';
import { databaseError, typed } from '../../internal/database-error.ts';
import type { BackendKeyPage } from '../../provider.ts';
import { databaseOf } from '../../tables/database.ts';
import type { KmsTables } from '../../tables/names.ts';
import { asRows } from '../../tables/rows.ts';
import type { KeyAddress } from './contexts.ts';
import type { SealedKey } from './sealed-key.ts';

/** A software key as it is stored. */
export interface SoftwareKey extends SealedKey {
  readonly at: KeyAddress;
  /** As the column says; what opens is what counts. */
  readonly publicJwk: unknown;
}

interface Row {
  readonly tenant_id: string;
  readonly provider_id: string;
  readonly external_id: string;
  readonly alg: string;
  readonly public_jwk: unknown;
  readonly root_kid: string;
  readonly wrapped_key: Uint8Array;
  readonly sealed_key: Uint8Array;
}

/** Which key is meant; what it signs with is in its row. */
export type KeyName = Omit<KeyAddress, 'alg'>;

// A unique violation, as PostgreSQL and SQLite call it.
const EXISTS = /^(?:23505|SQLITE_CONSTRAINT_(?:PRIMARYKEY|UNIQUE))$/;

/** The table of software keys. Every error is typed. */
export class SoftwareKeyRows {
  readonly #knex: Knex;
  readonly #table: string;

  constructor(knex: Knex, tables: KmsTables) {
    this.#knex = knex;
    this.#table = tables.softwareKeys;
  }

  /** @throws KmsError `ERR_KMS_KEY_EXISTS`, `ERR_KMS_DATABASE` */
  async insert({ at, publicJwk, rootKid, wrappedKey, sealedKey }: SoftwareKey): Promise<void> {
    const row = {
      ...whereOf(at),
      alg: at.alg,
      public_jwk: JSON.stringify(publicJwk),
      root_kid: rootKid,
      wrapped_key: Buffer.from(wrappedKey),
      sealed_key: Buffer.from(sealedKey),
      created_at: databaseOf(this.#knex).now(this.#knex),
    };
    try {
      await this.#knex(this.#table).insert(row);
    } catch (cause) {
      if (EXISTS.test(String((cause as { readonly code?: unknown } | null)?.code))) {
        throw new KmsError('ERR_KMS_KEY_EXISTS', { cause });
      }
      throw databaseError(cause, 'createKey');
    }
  }

  async find(name: KeyName): Promise<SoftwareKey | undefined> {
    const rows = await typed('find', async () => await this.#knex(this.#table).where(whereOf(name)).select('*'));
    return asRows<Row>(rows).map(keyOf)[0];
  }

  /** Keys of a provider under a root key, the newest first. */
  async newestUnder(kid: string, providerId: string, limit: number): Promise<readonly SoftwareKey[]> {
    const query = this.#knex(this.#table)
      .where({ root_kid: kid, provider_id: providerId })
      .orderBy('created_at', 'desc')
      .limit(limit)
      .select('*');
    return asRows<Row>(await typed('find', async () => await query)).map(keyOf);
  }

  async exists(name: KeyName): Promise<boolean> {
    return await typed('find', async () => {
      return (await this.#knex(this.#table).where(whereOf(name)).first('external_id')) !== undefined;
    });
  }

  async delete(name: KeyName): Promise<void> {
    await typed('deleteKey', async () => await this.#knex(this.#table).where(whereOf(name)).delete());
  }

  /** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` for a cursor that no page returned */
  async page(
    providerId: string,
    { tenantId, cursor, limit }: { tenantId: string | undefined; cursor: string | undefined; limit: number },
  ): Promise<BackendKeyPage> {
    const query = this.#knex(this.#table)
      .where({ provider_id: providerId })
      .orderBy(['tenant_id', 'external_id'])
      .limit(limit)
      .select('tenant_id', 'external_id');
    if (tenantId !== undefined) query.where({ tenant_id: tenantId });
    if (cursor !== undefined) query.whereRaw('(tenant_id, external_id) > (?, ?)', readCursor(cursor));
    const rows = asRows<Row>(await typed('listKeys', async () => await query));
    const last = rows.length < limit ? undefined : rows.at(-1);
    return {
      keys: rows.map(({ tenant_id, external_id }) => ({
        externalId: external_id,
        name: external_id,
        tenantId: tenant_id,
      })),
      cursor: last === undefined ? undefined : cursorOf([last.tenant_id, last.external_id]),
    };
  }

  /** Rejects unless the database answers and has the table. */
  async probe(): Promise<void> {
    await typed('health', async () => await this.#knex(this.#table).whereRaw('1 = 0').select('external_id'));
  }

  /** Keys under another root key than `kid`, after `after` in the order of their addresses. */
  async underOthers(
    kid: string,
    { providerId, after, limit }: { providerId: string | undefined; after: KeyName | undefined; limit: number },
  ): Promise<readonly SoftwareKey[]> {
    const query = this.#underOthers(kid, providerId)
      .orderBy(['tenant_id', 'provider_id', 'external_id'])
      .limit(limit)
      .select('*');
    if (after !== undefined) {
      const { tenantId, externalId } = after;
      query.whereRaw('(tenant_id, provider_id, external_id) > (?, ?, ?)', [tenantId, after.providerId, externalId]);
    }
    return asRows<Row>(await typed('rewrap', async () => await query)).map(keyOf);
  }

  async countUnderOthers(kid: string, providerId: string | undefined): Promise<number> {
    const query = this.#underOthers(kid, providerId).count({ count: '*' });
    const [row] = asRows<{ count: number | string }>(await typed('rewrap', async () => await query));
    return Number(row?.count ?? 0);
  }

  /** Puts data keys under other root keys, where the rows are as they were read. How many were. */
  async rewrap(fresh: readonly (readonly [SoftwareKey, Pick<SealedKey, 'rootKid' | 'wrappedKey'>])[]): Promise<number> {
    return await typed('rewrap', async () => {
      return await this.#knex.transaction(async (trx) => {
        let updated = 0;
        for (const [{ at, rootKid, wrappedKey }, to] of fresh) {
          updated += await trx(this.#table)
            .where({ ...whereOf(at), root_kid: rootKid, wrapped_key: Buffer.from(wrappedKey) })
            .update({ root_kid: to.rootKid, wrapped_key: Buffer.from(to.wrappedKey) });
        }
        return updated;
      }, databaseOf(this.#knex).transaction);
    });
  }

  #underOthers(kid: string, providerId: string | undefined): Knex.QueryBuilder {
    const query = this.#knex(this.#table).whereNot({ root_kid: kid });
    return providerId === undefined ? query : query.where({ provider_id: providerId });
  }
}

function whereOf({ tenantId, providerId, externalId }: KeyName): Record<string, string> {
  return { tenant_id: tenantId, provider_id: providerId, external_id: externalId };
}

function keyOf(row: Row): SoftwareKey {
  const { tenant_id: tenantId, provider_id: providerId, external_id: externalId } = row;
  return {
    // The algorithm is checked by opening: the data key is bound to it.
    at: { tenantId, providerId, externalId, alg: row.alg as SignAlg },
    publicJwk: row.public_jwk,
    rootKid: row.root_kid,
    wrappedKey: row.wrapped_key,
    sealedKey: row.sealed_key,
  };
}

function cursorOf(last: readonly [string, string]): string {
  return Buffer.from(JSON.stringify(last), 'utf8').toString('base64url');
}

function readCursor(cursor: string): [string, string] {
  try {
    const [tenantId, externalId, ...rest] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (typeof tenantId === 'string' && typeof externalId === 'string' && rest.length === 0) {
      return [tenantId, externalId];
    }
  } catch {
    // no JSON: no page returned it
  }
  throw invalidArgument('cursor', 'what the page before returned', 'another string');
}
