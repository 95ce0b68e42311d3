import { createPrivateKey, createPublicKey, generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BackendKey,
  type DriverKey,
  defineProvider,
  type KmsDriver,
  KmsError,
  type KmsProvider,
  type PrivateJwk,
} from '@keywright/kms';

/** What a backend is asked to do. */
export type Operation = 'createKey' | 'importKey' | 'exportKey' | 'getPublicKey' | 'sign' | 'deleteKey' | 'listKeys';

export interface BackendShape {
  /** `by-tenant`: refuses to list without a tenant, and keeps tenants apart. @default 'all' */
  readonly lists?: 'all' | 'by-tenant' | 'no';
  /** Whether its list shows names, tenants and key ids. @default true */
  readonly keepsNames?: boolean;
  /** Whether its own ids of keys are others than the names. @default false */
  readonly assignsIds?: boolean;
  /** @default true */
  readonly deletes?: boolean;
}

/** Called before and after an operation takes effect; what it throws is what the provider sees. */
export type Step = (operation: Operation, when: 'before' | 'after') => Promise<void> | void;

interface Stored {
  readonly name: string;
  readonly tenantId: string;
  readonly keyId: string;
  readonly privateJwk: JsonWebKey;
}

/** A backend that is a folder with a file for each key: it outlives every process that uses it. */
export class FileBackend {
  readonly folder: string;
  readonly shape: Required<BackendShape>;
  readonly calls: Operation[] = [];
  /** What goes wrong. */
  step: Step | undefined;

  constructor(shape: BackendShape = {}, folder: string = mkdtempSync(join(tmpdir(), 'keywright-backend-'))) {
    this.shape = { lists: 'all', keepsNames: true, assignsIds: false, deletes: true, ...shape };
    this.folder = folder;
  }

  /** A provider on this backend, as each process makes its own. */
  provider(id: string): KmsProvider {
    return defineProvider(this.driver(), { id, retries: 0, timeoutMs: 2_000, attemptTimeoutMs: 1_000 });
  }

  /** Own ids of the keys that it holds. */
  ids(): readonly string[] {
    return readdirSync(this.folder).toSorted();
  }

  lose(externalId: string): void {
    rmSync(join(this.folder, externalId), { force: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The next time, or every time, that `operation` is at this point, it fails so. */
  failAt(
    operation: Operation,
    when: 'before' | 'after',
    code: KmsError['code'],
    times: number = Number.POSITIVE_INFINITY,
  ): void {
    let left = times;
    this.step = (at, point) => {
      if (at === operation && point === when && left-- > 0) throw new KmsError(code);
    };
  }

  driver(): KmsDriver {
    const { lists, keepsNames, assignsIds, deletes } = this.shape;
    const at = async <T>(operation: Operation, work: () => T): Promise<T> => {
      this.calls.push(operation);
      await this.step?.(operation, 'before');
      const result = work();
      await this.step?.(operation, 'after');
      return result;
    };
    const store = (stored: Stored): DriverKey => {
      const externalId = assignsIds ? `id-${stored.name}` : stored.name;
      writeFileSync(join(this.folder, externalId), JSON.stringify(stored), { flag: 'wx' });
      return { externalId, externalVersion: null, publicKey: publicPart(stored) };
    };
    return {
      type: 'file',
      reach: 'remote',
      capabilities: {
        algs: { ES256: { create: true, import: true } },
        defaultAlg: 'ES256',
        deleteKey: deletes ? 'immediate' : 'never',
        listKeys: lists !== 'no',
        exportKey: true,
        wrapKey: false,
      },
      createKey: ({ name, tenantId, keyId }) =>
        at('createKey', () => {
          const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
          return store({ name, tenantId, keyId, privateJwk: privateKey.export({ format: 'jwk' }) });
        }),
      importKey: ({ name, tenantId, keyId, privateJwk }) =>
        at('importKey', () => store({ name, tenantId, keyId, privateJwk: { ...privateJwk } })),
      getPublicKey: ({ externalId }) => at('getPublicKey', () => publicPart(this.#read(externalId))),
      exportKey: ({ externalId }) => at('exportKey', () => this.#read(externalId).privateJwk as unknown as PrivateJwk),
      sign: ({ externalId }, data) =>
        at('sign', () => {
          const key = createPrivateKey({ format: 'jwk', key: this.#read(externalId).privateJwk });
          return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
        }),
      deleteKey: ({ externalId }) => at('deleteKey', () => this.lose(externalId)),
      listKeys: ({ tenantId, cursor, limit }) =>
        at('listKeys', () => {
          if (lists === 'by-tenant' && tenantId === undefined) {
            throw new KmsError('ERR_KMS_INVALID_ARGUMENT', { context: { argument: 'tenantId' } });
          }
          const all = this.ids().filter((id) => cursor === undefined || id > cursor);
          const page = all.slice(0, limit).map((id) => ({ id, stored: this.#read(id) }));
          const keys = page
            .filter(({ stored }) => lists !== 'by-tenant' || stored.tenantId === tenantId)
            .map(({ id, stored: { name, tenantId: owner, keyId } }): BackendKey => {
              return keepsNames ? { externalId: id, name, tenantId: owner, keyId } : { externalId: id };
            });
          return { keys, cursor: all.length > limit ? page.at(-1)?.id : undefined };
        }),
      probe: async () => {},
      close: async () => {},
    };
  }

  #read(externalId: string): Stored {
    try {
      return JSON.parse(readFileSync(join(this.folder, externalId), 'utf8')) as Stored;
    } catch {
      throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
    }
  }
}

function publicPart({ privateJwk }: Stored): JsonWebKey {
  return createPublicKey(createPrivateKey({ format: 'jwk', key: privateJwk })).export({ format: 'jwk' });
}
