import { mkdirSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { ROOT_TOKEN, readRecording, type VaultRecording, writeRecording } from './vault-recording.ts';
import { startVaultRecorder, startVaultReplay, type VaultRecorder, type VaultServer } from './vault-server.ts';

export { ANY, type VaultExchange, type VaultRecording } from './vault-recording.ts';
export { startVaultRecorder, startVaultReplay, type VaultRecorder, type VaultServer } from './vault-server.ts';

const ADDRESS = 'KEYWRIGHT_TEST_VAULT_ADDR';
const TOKEN = 'KEYWRIGHT_TEST_VAULT_TOKEN';
/** Release of a server that was built from source and does not know its own. */
const VERSION = 'KEYWRIGHT_TEST_VAULT_VERSION';
const RECORD = 'KEYWRIGHT_VAULT_RECORD';

export interface AdminAnswer {
  readonly status: number;
  /** Empty if it has none. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly auth: Readonly<Record<string, unknown>>;
}

/** A Vault (or OpenBao) that a suite works with, real or recorded. Requests have to be the same in every run. */
export interface TestVault {
  /** Where it is, once the suite runs. */
  url(): string;
  /** Token of an administrator. */
  token(): string;
  /** What all mounts, policies and auth methods of the suite begin with; what an earlier run left there is gone. */
  readonly prefix: string;
  /** Method and path of each request so far. */
  requests(): readonly string[];
  /** Asks as the administrator, or with another token. Recorded as everything is. */
  admin(method: string, path: string, body?: unknown, token?: string): Promise<AdminAnswer>;
  /** Asks the real server beside the recording; nothing where there is none. */
  outside(method: string, path: string, body?: unknown): Promise<void>;
}

export interface VaultSuite {
  /** Name of the recording, and part of the prefix. */
  readonly name: string;
  /** Folder of the recordings. */
  readonly recordings: URL;
  /** Variables without which the suite cannot be run on a real server. */
  readonly needs?: readonly string[];
}

/**
 * Registers `define` as a suite on what a real Vault was recorded to answer, and once more on the one that
 * `KEYWRIGHT_TEST_VAULT_ADDR` names, if it is set. With `KEYWRIGHT_VAULT_RECORD` it runs on that one alone, and what was
 * said becomes the recording.
 */
export function describeOnVault(title: string, suite: VaultSuite, define: (vault: TestVault) => void): void {
  const address = process.env[ADDRESS];
  const token = process.env[TOKEN];
  const isLive = Boolean(address) && (suite.needs ?? []).every((name) => Boolean(process.env[name]));
  if (Boolean(address) !== Boolean(token)) throw new Error(`${ADDRESS} and ${TOKEN} belong together.`);
  const records = Boolean(process.env[RECORD]);
  if (records && !address) throw new Error(`${RECORD} needs ${ADDRESS} and ${TOKEN}: a server to record.`);
  // It is replaced wherever it is found: `root` is in many a word.
  if (records && (token ?? '').length < 16) throw new Error(`${RECORD} needs a longer ${TOKEN}.`);
  if (!records) registerReplay(title, suite, define);
  if (isLive) registerLive(title, suite, define, { address: address as string, token: token as string, records });
}

function registerReplay(title: string, suite: VaultSuite, define: (vault: TestVault) => void): void {
  const recording = readRecording(fileOf(suite));
  const { product, version } = recording.server;
  describe(`${title} (as ${product} ${version} answered)`, () => {
    let server: VaultServer | undefined;
    beforeAll(async () => {
      server = await startVaultReplay(recording);
    });
    afterEach(() => {
      expect(running(server).unmatched(), 'requests that were never recorded').toEqual([]);
    });
    afterAll(async () => {
      await server?.stop();
      expect(server?.unmatched(), 'requests that were never recorded').toEqual([]);
    });
    define(testVault(
      suite,
      () => running(server),
      ROOT_TOKEN,
      async () => {},
    ));
  });
}

interface Live {
  readonly address: string;
  readonly token: string;
  readonly records: boolean;
}

function registerLive(title: string, suite: VaultSuite, define: (vault: TestVault) => void, live: Live): void {
  describe(`${title} (live)`, () => {
    let server: VaultRecorder | undefined;
    const outside = async (method: string, path: string, body?: unknown): Promise<void> => {
      const { status } = await askJson(live.address, live.token, method, path, body);
      if (status >= 300) throw new Error(`${method} ${path} was answered with ${status}`);
    };
    beforeAll(async () => {
      await clean(live, prefixOf(suite));
      server = await startVaultRecorder(live.address, live.token);
    });
    afterAll(async () => {
      const { exchanges, stop } = running(server);
      if (live.records) keep(suite, { server: await productOf(live.address), exchanges: exchanges() });
      await stop();
      await clean(live, prefixOf(suite));
    });
    define(testVault(suite, () => running(server), live.token, outside));
  });
}

function testVault(
  suite: VaultSuite,
  server: () => VaultServer,
  token: string,
  outside: TestVault['outside'],
): TestVault {
  return {
    url: () => server().url,
    token: () => token,
    prefix: prefixOf(suite),
    requests: () => server().requests(),
    admin: (method, path, body, as = token) => askJson(server().url, as, method, path, body),
    outside,
  };
}

function running<Server>(server: Server | undefined): Server {
  if (server === undefined) throw new Error('The suite does not run yet.');
  return server;
}

function prefixOf({ name }: VaultSuite): string {
  return `kw-test-${name}`;
}

function fileOf({ recordings, name }: VaultSuite): URL {
  return new URL(`${name}.json`, recordings);
}

function keep(suite: VaultSuite, recording: VaultRecording): void {
  mkdirSync(suite.recordings, { recursive: true });
  writeFileSync(fileOf(suite), writeRecording(recording));
}

async function askJson(
  address: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<AdminAnswer> {
  const response = await fetch(`${address}/v1/${path}`, {
    method,
    headers: { 'x-vault-token': token },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const { data, auth } = (text.trim() === '' ? {} : JSON.parse(text)) as Partial<AdminAnswer>;
  return { status: response.status, data: data ?? {}, auth: auth ?? {} };
}

/** HashiCorp's Vault says whether it is the enterprise edition; OpenBao has none. */
async function productOf(address: string): Promise<VaultRecording['server']> {
  const health = (await (await fetch(`${address}/v1/sys/health`)).json()) as Readonly<Record<string, unknown>>;
  const reports = String(health.version);
  return { product: 'enterprise' in health ? 'Vault' : 'OpenBao', version: process.env[VERSION] ?? reports, reports };
}

/** Takes away what begins with the prefix: mounts with their keys, auth methods with their tokens, policies, namespaces. */
async function clean({ address, token }: Live, prefix: string): Promise<void> {
  for (const kind of ['sys/mounts', 'sys/auth']) {
    const { data } = await askJson(address, token, 'GET', kind);
    for (const name of Object.keys(data).filter((found) => found.startsWith(prefix))) {
      await askJson(address, token, 'DELETE', `${kind}/${name.replace(/\/$/, '')}`);
    }
  }
  // Vault without the enterprise edition has no namespaces, and says so.
  for (const kind of ['sys/policies/acl', 'sys/namespaces']) {
    const { data } = await askJson(address, token, 'GET', `${kind}?list=true`);
    const names = (data.keys as readonly string[] | undefined) ?? [];
    for (const name of names.filter((found) => found.startsWith(prefix))) {
      await askJson(address, token, 'DELETE', `${kind}/${name.replace(/\/$/, '')}`);
    }
  }
}
