import type { JsonWebKey } from 'node:crypto';
import QuickLRU from 'quick-lru';
import type { SignAlg } from '../../algorithms.ts';
import { invalidArgument } from '../../arguments.ts';
import type { DriverCall, DriverCreateKey, DriverKey } from '../../driver.ts';
import { KmsError } from '../../errors.ts';
import type { JsonAnswer } from '../../internal/json-http.ts';
import type { KmsKeyRef } from '../../provider.ts';
import { dataOf, type VaultClient, warningsOf } from './client.ts';
import { checkCustody, publicKeyIn } from './key-data.ts';
import { transitTypeOf } from './key-types.ts';
import type { Mounts } from './mounts.ts';
import type { Place, Places } from './places.ts';
import { invalidResponse, refusalOf, saysNoKey, saysNoMount } from './refusal.ts';

/** Keys are neither rotated nor updated: what a host calls another version is another key. */
export const FIRST_VERSION = '1';

const VERSION = /^[1-9][0-9]{0,8}$/;
const KNOWN_KEYS = 10_000;
const KNOWN_MS = 300_000;

/** Key pairs of Transit mounts: made, read, deleted. */
export class TransitKeys {
  readonly #client: VaultClient;
  readonly #mounts: Mounts;
  readonly #places: Places;
  /** Keys that were seen to be of an algorithm. */
  readonly #known = new QuickLRU<string, true>({ maxSize: KNOWN_KEYS, maxAge: KNOWN_MS });

  constructor(client: VaultClient, mounts: Mounts, places: Places) {
    this.#client = client;
    this.#mounts = mounts;
    this.#places = places;
  }

  async create({ tenantId, alg, name }: DriverCreateKey, call: DriverCall): Promise<DriverKey> {
    const place = this.#places.of(tenantId, name);
    await this.expectAbsent(place, call);
    const body = { type: transitTypeOf(alg), derived: false, exportable: false, allow_plaintext_backup: false };
    const path = pathOf(place);
    const made = await this.#client.ask({ method: 'POST', path, body, delivery: 'at-most-once' }, call);
    if (made.status >= 300) throw refusalOf(made);
    if (warningsOf(made).some((warning) => /already exist/i.test(warning))) throw new KmsError('ERR_KMS_KEY_EXISTS');
    // Older servers answer with nothing.
    const answer = made.status === 204 ? await this.reread(place, call) : made;
    return this.made(answer, alg, place, name);
  }

  /**
   * Transit adopts a key of the same name without a word: HashiCorp's warns, OpenBao 2.5 does not. So it is asked
   * before, on the same way as the mount. Names are random: nobody makes the same one meanwhile.
   */
  async expectAbsent(place: Place, call: DriverCall): Promise<void> {
    const answer = await this.#mounts.asked(place.mount, call, () => this.#read(place, call));
    if (saysNoKey(answer)) return;
    dataOf(answer);
    throw new KmsError('ERR_KMS_KEY_EXISTS');
  }

  made(answer: JsonAnswer, alg: SignAlg, place: Place, name: string): DriverKey {
    const publicKey = publicKeyIn(answer, alg, FIRST_VERSION);
    checkCustody(answer);
    this.#known.set(knownAs(place, alg), true);
    return { externalId: name, externalVersion: FIRST_VERSION, publicKey };
  }

  async publicKey(key: KmsKeyRef, call: DriverCall): Promise<JsonWebKey> {
    const place = this.#places.ofRef(key);
    const version = versionOf(key);
    const read = publicKeyIn(await this.#read(place, call), key.alg, version);
    this.#known.set(knownAs(place, key.alg), true);
    return read;
  }

  /**
   * Looks at a key that is new to this process: Transit signs by what its own record says, and an Ed25519 signature is
   * as long as one of P-256.
   */
  async expectKnown(key: KmsKeyRef, call: DriverCall): Promise<Place> {
    const place = this.#places.ofRef(key);
    if (!this.#known.has(knownAs(place, key.alg))) await this.publicKey(key, call);
    return place;
  }

  /** Two steps, as Transit wants it. A key that is not there is deleted. */
  async delete(key: KmsKeyRef, call: DriverCall): Promise<void> {
    const place = this.#places.ofRef(key);
    const path = pathOf(place);
    this.#known.delete(knownAs(place, key.alg));
    const body = { deletion_allowed: true };
    const allowed = await this.#client.ask({ method: 'POST', path: `${path}/config`, body }, call);
    if (isGone(allowed, key)) return;
    // Older servers answer with nothing.
    if (allowed.status !== 204 && dataOf(allowed).deletion_allowed !== true) throw invalidResponse(allowed, 'the key');
    const deleted = await this.#client.ask({ method: 'DELETE', path }, call);
    if (deleted.status === 204 || isGone(deleted, key)) return;
    throw deleted.status < 300 ? invalidResponse(deleted, '204') : refusalOf(deleted);
  }

  async #read(place: Place, call: DriverCall): Promise<JsonAnswer> {
    return await this.#client.ask({ method: 'GET', path: pathOf(place) }, call);
  }

  /** What {@link made} looks at, of a key whose making is answered with nothing. */
  async reread(place: Place, call: DriverCall): Promise<JsonAnswer> {
    const answer = await this.#read(place, call);
    if (answer.status === 404) throw invalidResponse(answer, 'the key that was made');
    return answer;
  }
}

export function pathOf({ mount, key }: Place): string {
  return `${mount}/keys/${key}`;
}

/** The version that a key is pinned to. */
export function versionOf({ externalVersion }: KmsKeyRef): string {
  if (externalVersion === null) return FIRST_VERSION;
  if (VERSION.test(externalVersion)) return externalVersion;
  throw invalidArgument('key.externalVersion', 'a version such as 1', `string of length ${externalVersion.length}`);
}

function knownAs({ mount, key }: Place, alg: SignAlg): string {
  return `${mount}/${key}/${transitTypeOf(alg)}`;
}

/**
 * A key that was seen has a version and had a mount. Where that is missing, the address, the namespace or the prefix may
 * be another than it was, and the key be where it is.
 */
function isGone(answer: JsonAnswer, { externalVersion }: KmsKeyRef): boolean {
  if (saysNoMount(answer) && externalVersion !== null) throw invalidResponse(answer, 'the mount of the key');
  return refusalOf(answer).code === 'ERR_KMS_KEY_NOT_FOUND';
}
