/** What a store must do, in memory and without anything that makes it a store: no keys, no database. */

export type Value = string | Readonly<Record<string, number>>;

export type Operation =
  | { readonly kind: 'save'; readonly name: string; readonly value: Value; readonly options: SaveOptions }
  | { readonly kind: 'update'; readonly name: string; readonly value: Value; readonly expected?: number | undefined }
  | { readonly kind: 'retag'; readonly name: string; readonly tags: readonly string[] }
  | { readonly kind: 'merge'; readonly name: string; readonly patch: Readonly<Record<string, number | null>> }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  | { readonly kind: 'rollback'; readonly name: string; readonly version: number }
  | { readonly kind: 'destroy'; readonly name: string; readonly version: number }
  | { readonly kind: 'delete' | 'restore' | 'purge'; readonly name: string }
  | { readonly kind: 'purgeDeleted' }
  | { readonly kind: 'get'; readonly name: string; readonly version?: number | undefined };

export interface SaveOptions {
  readonly ifAbsent?: boolean | undefined;
  readonly expectedVersion?: number | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly casRequired?: boolean | undefined;
  readonly maxVersions?: number | undefined;
}

interface ModelSecret {
  readonly order: number;
  name: string;
  deleted: boolean;
  current: number;
  tags: readonly string[];
  cas: boolean;
  max: number;
  readonly versions: Map<number, Value | undefined>;
}

/** What an operation answers: a result, or the condition of a refusal. */
export type Answer = { readonly ok: unknown } | { readonly refused: string };

class Refused {
  readonly condition: string;

  constructor(condition: string) {
    this.condition = condition;
  }
}

export class Model {
  #secrets: ModelSecret[] = [];
  #made = 0;

  apply(operation: Operation): Answer {
    try {
      return { ok: this.#apply(operation) };
    } catch (error) {
      if (error instanceof Refused) return { refused: `ERR_SECRETS_${error.condition}` };
      throw error;
    }
  }

  /** Everything that can be listed and read. */
  state(): readonly unknown[] {
    return this.#secrets
      .filter(({ deleted }) => !deleted)
      .map(({ name, current, tags, versions }) => ({
        name,
        current,
        tags,
        versions: [...versions].toSorted(descending),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  deletedNames(): readonly string[] {
    return this.#secrets
      .filter(({ deleted }) => deleted)
      .map(({ name }) => name)
      .toSorted();
  }

  #apply(operation: Operation): unknown {
    switch (operation.kind) {
      case 'save':
        return this.#save(operation.name, operation.value, operation.options);
      case 'update': {
        const secret = this.#conditional(operation.name, operation.expected);
        return add(secret, operation.value);
      }
      case 'retag': {
        const secret = this.#conditional(operation.name, undefined);
        secret.tags = [...new Set(operation.tags)];
        return secret.current;
      }
      case 'merge': {
        const secret = this.#conditional(operation.name, undefined);
        const value = read(secret, secret.current);
        if (typeof value === 'string') throw new Refused('VALUE_NOT_JSON');
        const merged = { ...value, ...operation.patch };
        return add(
          secret,
          Object.fromEntries(Object.entries(merged).filter((entry): entry is [string, number] => entry[1] !== null)),
        );
      }
      case 'rename': {
        const secret = this.#conditional(operation.name, undefined);
        const other = this.#living(operation.to);
        if (other !== undefined && other !== secret) throw new Refused('ALREADY_EXISTS');
        secret.name = operation.to;
        return secret.current;
      }
      case 'rollback': {
        const secret = this.#conditional(operation.name, undefined);
        return add(secret, read(secret, operation.version));
      }
      case 'destroy': {
        const secret = this.#required(operation.name);
        if (!secret.versions.has(operation.version)) throw new Refused('NOT_FOUND');
        secret.versions.set(operation.version, undefined);
        return undefined;
      }
      case 'delete':
        this.#conditional(operation.name, undefined).deleted = true;
        return undefined;
      case 'restore': {
        if (this.#living(operation.name) !== undefined) throw new Refused('ALREADY_EXISTS');
        const secret = this.#youngestDeleted(operation.name);
        secret.deleted = false;
        return secret.current;
      }
      case 'purge': {
        const secret = this.#living(operation.name) ?? this.#youngestDeleted(operation.name);
        this.#secrets = this.#secrets.filter((other) => other !== secret);
        return undefined;
      }
      case 'purgeDeleted': {
        const before = this.#secrets.length;
        this.#secrets = this.#secrets.filter(({ deleted }) => !deleted);
        return before - this.#secrets.length;
      }
      case 'get': {
        const secret = this.#required(operation.name);
        return read(secret, operation.version ?? secret.current);
      }
    }
  }

  #save(name: string, value: Value, options: SaveOptions): number {
    const { ifAbsent, expectedVersion, tags, casRequired, maxVersions } = options;
    const found = this.#living(name);
    if (found !== undefined && ifAbsent) throw new Refused('ALREADY_EXISTS');
    if (expectedVersion !== undefined && expectedVersion !== (found?.current ?? 0))
      throw new Refused('VERSION_CONFLICT');
    if (expectedVersion === undefined && found?.cas) throw new Refused('CAS_REQUIRED');
    const secret: ModelSecret = found ?? {
      order: this.#made++,
      name,
      deleted: false,
      current: 0,
      tags: [],
      cas: false,
      max: Number.POSITIVE_INFINITY,
      versions: new Map(),
    };
    if (found === undefined) this.#secrets.push(secret);
    if (tags !== undefined) secret.tags = [...new Set(tags)];
    if (casRequired !== undefined) secret.cas = casRequired;
    if (maxVersions !== undefined) secret.max = maxVersions;
    return add(secret, value);
  }

  #living(name: string): ModelSecret | undefined {
    return this.#secrets.find((secret) => secret.name === name && !secret.deleted);
  }

  #required(name: string): ModelSecret {
    const secret = this.#living(name);
    if (secret === undefined) throw new Refused('NOT_FOUND');
    return secret;
  }

  #conditional(name: string, expected: number | undefined): ModelSecret {
    const secret = this.#required(name);
    if (expected !== undefined && expected !== secret.current) throw new Refused('VERSION_CONFLICT');
    if (expected === undefined && secret.cas) throw new Refused('CAS_REQUIRED');
    return secret;
  }

  #youngestDeleted(name: string): ModelSecret {
    const [secret] = this.#secrets
      .filter((other) => other.name === name && other.deleted)
      .toSorted((a, b) => b.order - a.order);
    if (secret === undefined) throw new Refused('NOT_FOUND');
    return secret;
  }
}

function add(secret: ModelSecret, value: Value): number {
  secret.current++;
  secret.versions.set(secret.current, value);
  for (const version of secret.versions.keys()) {
    if (version <= secret.current - secret.max) secret.versions.delete(version);
  }
  return secret.current;
}

function read(secret: ModelSecret, version: number): Value {
  if (!secret.versions.has(version)) throw new Refused('NOT_FOUND');
  const value = secret.versions.get(version);
  if (value === undefined) throw new Refused('VERSION_DESTROYED');
  return value;
}

function descending([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number {
  return b - a;
}
