import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import {
  defineProvider,
  KmsError,
  type KmsProvider,
  type KmsProviderType,
  type KmsRegistry,
  loadKmsRegistry,
  type ProviderEntry,
} from '@keywright/kms';
import { expect } from 'vitest';
import { memoryDriver } from '../support/memory-driver.ts';

/** A third party's type; it tells which entries it was given. */
export interface ThirdParty extends KmsProviderType {
  readonly entries: ProviderEntry[];
}

/** A type of provider that nothing of ours knows, with a member of every kind. */
export function thirdParty(
  type = 'cloud',
  change: (provider: KmsProvider) => KmsProvider = (same) => same,
): ThirdParty {
  const entries: ProviderEntry[] = [];
  return {
    type,
    entries,
    schema: {
      type: 'object',
      properties: {
        url: { type: 'string', pattern: '^https://' },
        token: { type: 'string', minLength: 1, writeOnly: true },
        retries: { type: 'integer', minimum: 0, maximum: 10 },
        strict: { type: 'boolean' },
        slot: { type: ['integer', 'string'] },
        region: { enum: ['eu', 'us'] },
        auth: {
          type: 'object',
          oneOf: [
            {
              properties: { method: { const: 'token' }, secret: { type: 'string', writeOnly: true } },
              required: ['method', 'secret'],
              additionalProperties: false,
            },
            {
              properties: { method: { const: 'role' }, role: { type: 'string' }, ttl: { type: 'integer' } },
              required: ['method', 'role'],
              additionalProperties: false,
            },
          ],
        },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        free: { type: 'object' },
        peers: { type: 'array', items: { type: 'string' }, maxItems: 4 },
      },
      required: ['url'],
    },
    create(entry) {
      entries.push(entry);
      const { capabilities, ...driver } = memoryDriver();
      return change(defineProvider({ ...driver, capabilities, type }, { id: entry.id }));
    },
  };
}

/** A provider as a third party might write it: an object whose members anybody can read. */
export function methodsOf(made: KmsProvider): KmsProvider {
  const { id, type, capabilities } = made;
  return {
    id,
    type,
    capabilities,
    createKey: made.createKey.bind(made),
    importKey: made.importKey.bind(made),
    getPublicKey: made.getPublicKey.bind(made),
    sign: made.sign.bind(made),
    deleteKey: made.deleteKey.bind(made),
    listKeys: made.listKeys.bind(made),
    exportKey: made.exportKey.bind(made),
    createWrappingKey: made.createWrappingKey.bind(made),
    wrapKey: made.wrapKey.bind(made),
    unwrapKey: made.unwrapKey.bind(made),
    health: made.health.bind(made),
    close: made.close.bind(made),
  };
}

export const MINIMAL = { id: 'main', type: 'cloud', url: 'https://kms.example' };

/** A folder with this `kms.json`, verbatim if it is text. */
export async function folderWith(config: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-kms-'));
  await writeFile(join(folder, 'kms.json'), typeof config === 'string' ? config : JSON.stringify(config));
  return folder;
}

export interface LoadInput {
  readonly env?: Record<string, string | undefined>;
  readonly types?: readonly KmsProviderType[];
}

export async function load(
  config: unknown,
  { env = {}, types = [thirdParty()] }: LoadInput = {},
): Promise<KmsRegistry> {
  return await loadKmsRegistry({ folder: await folderWith(config), env, types });
}

/** The one entry of `cloud` with these members, as its type got it. */
export async function entryOf(
  members: Record<string, unknown>,
  env: Record<string, string | undefined> = {},
): Promise<ProviderEntry> {
  const type = thirdParty();
  await load({ providers: [{ ...MINIMAL, ...members }] }, { env, types: [type] });
  return type.entries[0] as ProviderEntry;
}

/** The KmsError that a call is refused with; a call that succeeds fails the test. */
export async function refusal(call: Promise<unknown> | (() => unknown)): Promise<KmsError> {
  try {
    await (typeof call === 'function' ? call() : call);
  } catch (error) {
    expect(error).toBeInstanceOf(KmsError);
    return error as KmsError;
  }
  throw new Error('expected a refusal');
}

/** Everything that a log line, an error page or a debugger might show. */
export function shown(thing: unknown): string {
  const parts = [String(thing), inspect(thing, { depth: 12, showHidden: true, getters: true }), JSON.stringify(thing)];
  for (let error = thing; error instanceof Error; error = error.cause) parts.push(error.message, error.stack ?? '');
  return parts.join('\n');
}
