import type { Operation } from './operations.ts';

/** A version as it is in the database in the end, decrypted. */
export interface StoredVersion {
  readonly tenant: string;
  readonly secretId: string;
  readonly version: number;
  readonly value: string;
}

/** A secret as it is in the database in the end. */
export interface StoredSecret {
  readonly tenant: string;
  readonly secretId: string;
  readonly name: string;
  readonly currentVersion: number;
}

/** An operation's deletion, with the secret that its audit row names. */
export interface Deletion {
  readonly operation: Operation;
  readonly secretId: string;
}

export interface History {
  readonly operations: readonly Operation[];
  readonly deletions: readonly Deletion[];
  readonly secrets: readonly StoredSecret[];
  readonly versions: readonly StoredVersion[];
}

interface Write {
  readonly operation: Operation;
  readonly version: number;
}

/**
 * What is wrong with a history, a sentence each; nothing if it could have been made by one process after the other.
 * Every acknowledged save is the version it said, every version is a save's; versions have no gaps; a compare-and-set
 * follows the version it expected; what ended before another began comes before it; a read saw the newest version
 * or one that was saved while it ran.
 */
export function historyProblems(history: History): string[] {
  const saves = savesBySecret(history.operations);
  return [
    ...versionProblems(history, saves),
    ...[...saves].flatMap(([secretId, writes]) => orderProblems(secretId, writes)),
    ...readProblems(history, saves),
  ];
}

function savesBySecret(operations: readonly Operation[]): ReadonlyMap<string, readonly Write[]> {
  const saves = new Map<string, Write[]>();
  for (const operation of operations) {
    const { action, outcome } = operation;
    if (action !== 'secret.save' || outcome.kind !== 'done') continue;
    const { secretId = '', version = 0 } = outcome.done;
    const own = saves.get(secretId);
    if (own === undefined) saves.set(secretId, [{ operation, version }]);
    else own.push({ operation, version });
  }
  for (const writes of saves.values()) writes.sort((a, b) => a.version - b.version);
  return saves;
}

function versionProblems({ secrets, versions }: History, saves: ReadonlyMap<string, readonly Write[]>): string[] {
  const problems: string[] = [];
  const stored = new Map(versions.map((version) => [`${version.secretId} ${version.version}`, version]));
  const known = new Set(secrets.map(({ secretId }) => secretId));
  let acknowledged = 0;
  for (const [secretId, writes] of saves) {
    if (!known.has(secretId)) problems.push(`secret ${secretId} was saved and is gone`);
    const seen = new Set<number>();
    for (const { operation, version } of writes) {
      acknowledged++;
      if (seen.has(version)) problems.push(`two saves of ${secretId} were told version ${version}`);
      seen.add(version);
      const found = stored.get(`${secretId} ${version}`);
      if (found === undefined) problems.push(`version ${version} of ${secretId} was acknowledged and is gone`);
      else if (found.value !== savedValue(operation) || found.tenant !== operation.tenant) {
        problems.push(`version ${version} of ${secretId} holds what another operation saved`);
      }
    }
  }
  if (versions.length !== acknowledged) {
    problems.push(`${versions.length} versions are stored, and ${acknowledged} saves were acknowledged`);
  }
  for (const { secretId, currentVersion } of secrets) {
    for (let version = 1; version <= currentVersion; version++) {
      if (!stored.has(`${secretId} ${version}`)) problems.push(`${secretId} has no version ${version}`);
    }
  }
  return problems;
}

/** Precondition: by version. */
function orderProblems(secretId: string, writes: readonly Write[]): string[] {
  const problems: string[] = [];
  let latestStart = 0n;
  for (const { operation, version } of writes) {
    // Somebody with a lower version began only after this one had ended.
    if (operation.end < latestStart)
      problems.push(`version ${version} of ${secretId} is from before the one before it`);
    if (operation.start > latestStart) latestStart = operation.start;
    const expected = operation.outcome.kind === 'done' ? operation.outcome.done.expected : undefined;
    if (expected !== undefined && version !== expected + 1) {
      problems.push(`a save of ${secretId} expected version ${expected} and made ${version}`);
    }
  }
  return problems;
}

function readProblems({ operations, deletions }: History, saves: ReadonlyMap<string, readonly Write[]>): string[] {
  const deletedAt = new Map(deletions.map(({ secretId, operation }) => [secretId, operation]));
  const livesByName = new Map<string, Life[]>();
  for (const [secretId, writes] of saves) {
    const first = writes[0];
    if (first === undefined || first.version !== 1) continue;
    const { tenant, name } = first.operation;
    const lives = livesByName.get(`${tenant} ${name}`) ?? [];
    lives.push({ created: first.operation, deleted: deletedAt.get(secretId) });
    livesByName.set(`${tenant} ${name}`, lives);
  }
  return operations.flatMap((operation) => {
    if (operation.action !== 'secret.get') return [];
    const { outcome } = operation;
    if (outcome.kind === 'error') {
      if (outcome.code !== 'ERR_SECRETS_NOT_FOUND') return [];
      const lives = livesByName.get(`${operation.tenant} ${operation.name}`) ?? [];
      return lives.some((life) => livesThroughout(life, operation))
        ? [`${operation.id} did not find what was there`]
        : [];
    }
    const { secretId = '', version = 0, value } = outcome.done;
    const writes = saves.get(secretId) ?? [];
    const deleted = deletedAt.get(secretId);
    return readProblem(operation, { version, value }, writes, deleted);
  });
}

interface Life {
  readonly created: Operation;
  readonly deleted: Operation | undefined;
}

function livesThroughout({ created, deleted }: Life, { start, end }: Operation): boolean {
  return created.end < start && (deleted === undefined || deleted.start > end);
}

function readProblem(
  read: Operation,
  { version, value }: { readonly version: number; readonly value: string | undefined },
  writes: readonly Write[],
  deleted: Operation | undefined,
): string[] {
  const own = writes.find((write) => write.version === version);
  if (own === undefined) return [`${read.id} read a version that nobody saved`];
  const problems: string[] = [];
  if (savedValue(own.operation) !== value) problems.push(`${read.id} read what another operation saved`);
  if (own.operation.start > read.end) problems.push(`${read.id} read a version from after it`);
  const newer = writes.find((write) => write.version > version && write.operation.end < read.start);
  if (newer !== undefined) problems.push(`${read.id} read version ${version} when there was ${newer.version}`);
  if (deleted !== undefined && deleted.end < read.start) problems.push(`${read.id} read a secret that was deleted`);
  return problems;
}

function savedValue({ outcome }: Operation): string | undefined {
  return outcome.kind === 'done' ? outcome.done.value : undefined;
}
