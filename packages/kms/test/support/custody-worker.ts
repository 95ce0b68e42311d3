import { readFileSync, writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { writeHeapSnapshot } from 'node:v8';
import { createKeyring } from '@keywright/envelope';
import { createKmsKeys, createKmsRegistry, type KmsKey, type KmsProvider, type SignAlg } from '@keywright/kms';
import createKnex from 'knex';

/** What the process does before its heap is written out. */
export interface CustodyTask {
  /** Address of the built module that makes the provider. */
  readonly module: string;
  readonly factory: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly database: string;
  readonly algs: readonly SignAlg[];
  /** Id of a key of the table that is there already. */
  readonly imported?: string | undefined;
  /** Names of keys, one for each algorithm, where the backend is recorded: then the table is not used. */
  readonly names?: readonly string[] | undefined;
  /** Files with private keys to hold, and how: to prove that the search finds them. */
  readonly holds: readonly { readonly file: string; readonly as: 'jwk' | 'text' | 'member' }[];
  readonly snapshot: string;
  readonly output: string;
}

const task = JSON.parse(process.argv[2] ?? '') as CustodyTask;
const texts: string[] = [];
const note = (...parts: readonly unknown[]): void => void texts.push(parts.map((part) => inspect(part)).join(' '));
const logger = { debug: note, info: note, warn: note, error: note };

const knex = createKnex({
  client: 'better-sqlite3',
  connection: { filename: task.database },
  useNullAsDefault: true,
});
const root = createKeyring({ keys: { v1: Buffer.alloc(32, 7) }, activeKid: 'v1' });
const made = (await import(task.module)) as Record<string, (options: object) => KmsProvider>;
const services = task.factory === 'dbProvider' ? { knex, root } : {};
const provider = made[task.factory]?.({ ...task.options, ...services }) as KmsProvider;
const data = Buffer.from('data to sign');

const shown: unknown[] = [provider];
const keys = createKmsKeys({ knex, registry: createKmsRegistry({ providers: [provider] }), logger });
await keys.migrate();
const acme = keys.tenant('acme');
const keysMade: KmsKey[] = [];
for (const [index, alg] of task.algs.entries()) {
  const keyId = `key-${index}`;
  const name = task.names?.[index];
  const key =
    name === undefined
      ? await acme.create({ keyId, alg })
      : await provider.createKey({ tenantId: 'acme', keyId, alg, name });
  keysMade.push(key);
  await provider.getPublicKey(key);
  await (name === undefined ? acme.sign(keyId, data) : provider.sign(key, data));
}
if (task.imported !== undefined) await acme.sign(task.imported, data);
shown.push(...keysMade, await provider.health());
const [first] = keysMade;
for (const call of [
  () => provider.sign({ ...(first as KmsKey), externalId: '0'.repeat(32) }, data),
  () => provider.sign(first as KmsKey, 'no bytes' as never),
  ...(provider.capabilities.exportKey ? [] : [() => provider.exportKey(first as KmsKey)]),
  () => acme.sign('no such key', data),
]) {
  shown.push(await call().catch((error: unknown) => error));
}
for (const thing of shown) {
  texts.push(inspect(thing, { depth: 20, showHidden: true }), JSON.stringify(thing) ?? '');
  if (thing instanceof Error) texts.push(thing.stack ?? '');
}

/** Kept alive until the snapshot is written. */
const held: unknown[] = [provider, keys, keysMade, ...task.holds.map(holding)];
writeFileSync(task.output, JSON.stringify({ texts, stubs: keysMade }));
writeHeapSnapshot(task.snapshot);
if (held.length === 0) throw new Error('unreachable');
await provider.close();
await knex.destroy();

/** In a function of its own, which leaves nothing else behind. */
function holding({ file, as }: CustodyTask['holds'][number]): unknown {
  const text = readFileSync(file, 'utf8');
  if (as === 'text') return [text];
  const jwk = JSON.parse(text) as { readonly d: string };
  return as === 'jwk' ? jwk : { renamed: jwk.d };
}
