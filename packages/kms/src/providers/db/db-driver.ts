import type { JsonWebKey, KeyObject } from 'node:crypto';
import type { KeyWrapper } from '@keywright/envelope';
import { SIGN_ALGS } from '../../algorithms.ts';
import type { AlgCapabilities, KmsCapabilities } from '../../capabilities.ts';
import type { DriverCall, DriverCreateKey, DriverKey, KmsDriver } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import type { PrivateJwk, PublicJwk } from '../../jwk.ts';
import type { BackendKeyPage, KmsKeyRef } from '../../provider.ts';
import { asJson } from '../../tables/rows.ts';
import { exportPkcs8, generatePrivateKey, type KeyPair, keyPairOf, readPkcs8, readPrivateJwk } from './key-pair.ts';
import { RootCheck } from './root-check.ts';
import type { KeyName, SoftwareKey, SoftwareKeyRows } from './rows.ts';
import { openKey, rewrapDataKey, sealKey } from './sealed-key.ts';
import { UnlockedKeys, type UnlockedKeysOptions } from './unlocked-keys.ts';
import { within } from './within.ts';

export interface DbDriverOptions extends UnlockedKeysOptions {
  readonly providerId: string;
  readonly root: KeyWrapper;
  /** Longest that a sealed key may take to be read and opened, in milliseconds. */
  readonly unlockTimeoutMs: number;
}

const EVERY: AlgCapabilities = Object.freeze({ create: true, import: true });
const CAPABILITIES: KmsCapabilities = Object.freeze({
  algs: Object.freeze(Object.fromEntries(SIGN_ALGS.map((alg) => [alg, EVERY]))),
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: true,
  exportKey: true,
  wrapKey: false,
});

/** Software keys, sealed in a table of the host's database. */
export class DbDriver implements KmsDriver {
  readonly type = 'db';
  /** Signing is arithmetic in this process; what waits for the database or the root key keeps to the deadline itself. */
  readonly reach = 'local';
  readonly capabilities: KmsCapabilities = CAPABILITIES;
  readonly #rows: SoftwareKeyRows;
  readonly #options: DbDriverOptions;
  readonly #unlocked: UnlockedKeys<KeyName>;
  readonly #rootCheck: RootCheck;
  readonly #closing = new AbortController();

  constructor(rows: SoftwareKeyRows, options: DbDriverOptions) {
    this.#rows = rows;
    this.#options = options;
    this.#rootCheck = new RootCheck(options.root, rows, options.providerId);
    this.#unlocked = new UnlockedKeys(
      { load: (name) => this.#unlock(name), exists: (name) => rows.exists(name) },
      options,
    );
  }

  async createKey(input: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    return await this.#store(input, call, () => generatePrivateKey(input.alg));
  }

  async importKey(input: DriverCreateKey & { readonly privateJwk: PrivateJwk }, call: DriverCall): Promise<DriverKey> {
    return await this.#store(input, call, () => readPrivateJwk(input.privateJwk));
  }

  /** Of the private key itself: whoever can write the row could put another public key beside it. */
  async getPublicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    const { publicJwk } = await this.#pairOf(key, call);
    return { ...publicJwk };
  }

  sign(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const pair = this.#unlocked.recall(cacheName(key));
    if (pair === undefined || pair.alg !== key.alg) return this.#signCold(key, data, call);
    return pair.sign(data);
  }

  async deleteKey(key: KmsKeyRef, call: DriverCall): Promise<void> {
    const name = cacheName(key);
    this.#unlocked.forget(name);
    try {
      await this.#within(call, () => this.#rows.delete(this.#nameOf(key)));
    } finally {
      // What was unlocked while the row was still there goes too.
      this.#unlocked.forget(name);
    }
  }

  async listKeys(
    page: { readonly tenantId: string | undefined; readonly cursor: string | undefined; readonly limit: number },
    call: DriverCall,
  ): Promise<BackendKeyPage> {
    return await this.#within(call, () => this.#rows.page(this.#options.providerId, page));
  }

  async exportKey(key: KmsKeyRef, call: DriverCall): Promise<PrivateJwk> {
    const { privateKey } = await this.#pairOf(key, call);
    return privateKey.export({ format: 'jwk' }) as unknown as PrivateJwk;
  }

  async probe(call: DriverCall): Promise<void> {
    await this.#within(call, () => this.#rows.probe());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#unlocked.close();
  }

  async #signCold(key: KmsKeyRef, data: Uint8Array, call: DriverCall): Promise<Uint8Array> {
    const pair = await this.#pairOf(key, call);
    return await pair.sign(data);
  }

  async #pairOf(key: KmsKeyRef, call: DriverCall): Promise<KeyPair> {
    const pair = await this.#within(call, () => this.#unlocked.get(cacheName(key), this.#nameOf(key)));
    if (pair.alg === key.alg) return pair;
    throw new KmsError('ERR_KMS_KEY_NOT_USABLE', { context: { expected: pair.alg, received: key.alg } });
  }

  /** Shared by all who wait for the key, so it ends by its own time and not by theirs. */
  async #unlock(name: KeyName): Promise<KeyPair> {
    const { root, unlockTimeoutMs } = this.#options;
    const deadline = performance.now() + unlockTimeoutMs;
    return await this.#within({ deadline }, async (signal) => {
      const stored = await this.#find(name);
      const { alg } = stored.at;
      // Opened at the place that was asked for, whatever the database takes for equal to it.
      const at = { ...name, alg };
      const pkcs8 = await openKey(root, at, stored, signal).catch(async (error: unknown) => {
        // It may have been rewrapped since it was read, and the root key it was under dropped.
        const now = await this.#find(name);
        if (now.rootKid === stored.rootKid) throw error;
        return await openKey(root, at, now, signal);
      });
      try {
        const pair = readPkcs8(alg, pkcs8);
        if (isSameKey(pair.publicJwk, stored.publicJwk)) return pair;
      } finally {
        pkcs8.fill(0);
      }
      throw new KmsError('ERR_KMS_INTEGRITY');
    });
  }

  async #find(name: KeyName): Promise<SoftwareKey> {
    const stored = await this.#rows.find(name);
    if (stored !== undefined) return stored;
    throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
  }

  async #store(
    { tenantId, alg, name }: DriverCreateKey,
    call: DriverCall,
    make: () => KeyObject | Promise<KeyObject>,
  ): Promise<DriverKey> {
    const { providerId, root } = this.#options;
    const at = { tenantId, providerId, externalId: name, alg };
    return await this.#within(call, async (signal) => {
      const { privateKey, publicJwk } = keyPairOf(alg, await make());
      const pkcs8 = exportPkcs8(privateKey);
      try {
        const sealed = await sealKey(root, at, pkcs8, signal);
        await this.#rootCheck.pass(sealed.rootKid, signal);
        // Nobody waits any more: what is stored now would be found by reconcile() only.
        signal.throwIfAborted();
        const stored = { at, publicJwk, ...sealed };
        await this.#rows.insert(stored);
        if (sealed.rootKid !== root.activeKid) {
          // Rotated meanwhile: whoever rewrapped all keys did not see this one, and may drop its root key.
          const { kid: rootKid, wrapped: wrappedKey } = await rewrapDataKey(root, at, sealed, signal);
          await this.#rows.rewrap([[stored, { rootKid, wrappedKey }]]);
        }
      } finally {
        pkcs8.fill(0);
      }
      return { externalId: name, externalVersion: null, publicKey: { ...publicJwk } };
    });
  }

  async #within<T>(call: Parameters<typeof within>[0], work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return await within(call, work, this.#closing.signal);
  }

  #nameOf({ tenantId, externalId }: KmsKeyRef): KeyName {
    return { tenantId, externalId, providerId: this.#options.providerId };
  }
}

/** A tenant's id has no control characters, so no two keys share a name. */
function cacheName({ tenantId, externalId }: KmsKeyRef): string {
  return `${tenantId}\0${externalId}`;
}

/** Whether the column beside a private key still holds its public key: others may read it there. */
function isSameKey(publicJwk: PublicJwk, column: unknown): boolean {
  try {
    const stored = asJson(column) as Record<string, unknown>;
    return Object.entries(publicJwk).every(([member, value]) => stored[member] === value);
  } catch {
    return false; // no JSON, or not an object
  }
}
