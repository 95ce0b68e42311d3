import { generateKeyPairSync, sign as signWith } from 'node:crypto';
import {
  defineProvider,
  type KmsCapabilities,
  type KmsDriver,
  KmsError,
  type KmsHealth,
  type KmsProvider,
} from '@keywright/kms';
import { expect, it, vi } from 'vitest';
import { checksOf } from '../../src/conformance/checks.ts';
import { type KmsHarness, type KmsSetup, Subject } from '../../src/conformance/harness.ts';
import {
  MEMORY_CAPABILITIES,
  type Memory,
  memoryDriver,
  newMemory,
  publicOf,
  signRaw,
} from '../support/memory-driver.ts';

const TOKEN = 'hvs.token-of-the-backend';
const capabilities: KmsCapabilities = {
  ...MEMORY_CAPABILITIES,
  algs: { ES256: { create: true, import: true }, ES384: { create: true, import: true } },
};

interface Broken {
  /** Part of the title of a check that must notice. */
  readonly noticedBy: string;
  driver?(memory: Memory, sound: KmsDriver): Partial<KmsDriver>;
  provider?(provider: KmsProvider): Partial<KmsProvider>;
  setup?(memory: Memory): Partial<KmsSetup>;
}

/** Titles of the checks that fail, each on a backend of its own, of those that must notice. */
async function failing({
  driver,
  provider: over,
  setup: more,
  noticedBy = '',
}: Partial<Broken>): Promise<readonly string[]> {
  const titles: string[] = [];
  const harness: KmsHarness = {
    capabilities,
    async start() {
      const memory = newMemory();
      const sound = { ...memoryDriver(memory), capabilities };
      const whole = { ...sound, ...driver?.(memory, sound) };
      const made = defineProvider(whole, { id: 'mem', timeoutMs: 2_000, attemptTimeoutMs: 1_000, retries: 0 });
      const provider = over === undefined ? made : overlaid(made, over(made));
      return {
        provider,
        secrets: [TOKEN],
        backendCalls: () => memory.calls,
        backendPublicKey: async ({ externalId }) => publicOf(memory.keys.get(externalId)?.privateKey as never),
        dispose: () => provider.close(),
        ...more?.(memory),
      };
    },
  };
  for (const { title, run } of checksOf(harness).flatMap(([, checks]) => checks)) {
    if (!title.includes(noticedBy)) continue;
    const setup = await harness.start();
    try {
      await run(new Subject(harness, setup));
    } catch {
      titles.push(title);
    } finally {
      await setup.dispose().catch(() => undefined);
    }
  }
  return titles;
}

/** The provider with some of its methods replaced. */
function overlaid(provider: KmsProvider, over: Partial<KmsProvider>): KmsProvider {
  return new Proxy(provider, {
    get(target, member) {
      const value: unknown = Reflect.get(Object.hasOwn(over, member) ? over : target, member);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

const BROKEN: Readonly<Record<string, Broken>> = {
  'signs in DER': {
    noticedBy: 'signatures verify',
    driver: (memory) => ({
      async sign({ externalId, alg }, data) {
        const key = memory.keys.get(externalId)?.privateKey;
        return signWith(alg === 'ES256' ? 'sha256' : 'sha384', data, key as never);
      },
    }),
  },
  'signs with another key than it shows': {
    noticedBy: 'signatures verify',
    driver: () => ({ sign: async (_key, data) => signRaw('ES256', foreign, data) }),
  },
  'shows another public key than the backend has': {
    noticedBy: 'signatures verify',
    driver: (_memory, sound) => ({
      async createKey(input, call) {
        return { ...(await sound.createKey(input, call)), publicKey: publicOf(foreign) };
      },
    }),
  },
  'signs hashes of hashes': {
    noticedBy: 'signatures verify',
    driver: (_memory, sound) => ({
      sign: (key, data, call) => sound.sign(key, Buffer.from(data.toString()), call),
    }),
  },
  'wipes the data': {
    noticedBy: 'leaves the data as they are',
    driver: (_memory, sound) => ({
      async sign(key, data, call) {
        const signature = await sound.sign(key, data, call);
        data.fill(0);
        return signature;
      },
    }),
  },
  'signs the buffer around a view': {
    noticedBy: 'what a view shows',
    driver: (_memory, sound) => ({
      sign: (key, data, call) => sound.sign(key, new Uint8Array(data.buffer as ArrayBuffer), call),
    }),
  },
  'mixes up keys that are used at once': {
    noticedBy: '20 times at once',
    driver: (_memory, sound) => {
      let current: Parameters<KmsDriver['sign']>[0];
      return {
        async sign(key, data, call) {
          current = key;
          await new Promise((resolve) => setTimeout(resolve, 5));
          return await sound.sign(current, data, call);
        },
      };
    },
  },
  'ignores the tenant': {
    noticedBy: 'for another tenant',
    driver: (memory, sound) => {
      const own = <Key extends { externalId: string }>(key: Key): Key => {
        return { ...key, tenantId: memory.keys.get(key.externalId)?.tenantId ?? '' };
      };
      return {
        sign: (key, data, call) => sound.sign(own(key), data, call),
        getPublicKey: (key, call) => sound.getPublicKey(own(key), call),
      };
    },
  },
  'finds keys by the id that tenants choose': {
    noticedBy: 'never meet',
    driver: (_memory, sound) => ({
      createKey: (input, call) => sound.createKey({ ...input, name: input.keyId }, call),
    }),
  },
  'signs as another algorithm': {
    noticedBy: 'does not sign as',
    driver: (memory) => ({
      async sign({ externalId, alg }, data) {
        const key = memory.keys.get(externalId)?.privateKey;
        if (key === undefined) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
        return new Uint8Array(alg === 'ES256' ? 64 : 96).fill(data.length);
      },
    }),
  },
  'deletes nothing': { noticedBy: 'stops signing', driver: () => ({ deleteKey: async () => {} }) },
  'serves public keys of deleted keys': {
    noticedBy: 'not served from memory',
    provider: (sound) => ({ getPublicKey: async (key) => (key as never as { publicJwk: never }).publicJwk ?? sound }),
  },
  'complains about a second deletion': {
    noticedBy: 'deleted twice',
    driver: (memory, sound) => ({
      async deleteKey(key, call) {
        if (!memory.keys.has(key.externalId)) throw new KmsError('ERR_KMS_KEY_NOT_FOUND');
        await sound.deleteKey(key, call);
      },
    }),
  },
  'deletes all keys': {
    noticedBy: 'leaves the others',
    driver: (memory) => ({ deleteKey: async () => memory.keys.clear() }),
  },
  'reports a lost key as a fault of its own': {
    noticedBy: 'stops signing',
    driver: (_memory, sound) => ({
      sign: (key, data, call) => sound.sign(key, data, call).catch(() => Promise.reject(new Error('no such key'))),
    }),
  },
  'declares more than it has': {
    noticedBy: 'refuses the rest',
    driver: () => ({
      capabilities: { ...capabilities, algs: { ...capabilities.algs, RS256: { create: true, import: true } } },
    }),
  },
  'does what it does not declare': {
    noticedBy: 'refuses the rest',
    provider: () => ({ importKey: async () => ({}) as never }),
  },
  'imports a key of its own making': {
    noticedBy: 'signs as it did',
    provider: (sound) => ({ importKey: ({ privateJwk: _given, ...input }) => sound.createKey(input) }),
  },
  'imports whatever it is given': {
    noticedBy: 'without showing it',
    provider: (sound) => ({ importKey: ({ privateJwk: _given, ...input }) => sound.createKey(input) }),
  },
  'shows the key that it refuses': {
    noticedBy: 'without showing it',
    provider: () => ({
      async importKey({ privateJwk }) {
        throw Object.assign(new KmsError('ERR_KMS_INVALID_ARGUMENT'), { input: privateJwk });
      },
    }),
  },
  'exports another key': {
    noticedBy: 'lets go of a private key',
    driver: () => ({ exportKey: async () => foreign.export({ format: 'jwk' }) as never }),
  },
  'lists the first page again and again': {
    noticedBy: 'page by page',
    driver: (_memory, sound) => ({
      listKeys: async (page, call) => ({ ...(await sound.listKeys?.(page, call)), keys: [], cursor: 'next' }),
    }),
  },
  'lists all keys at once': {
    noticedBy: 'page by page',
    driver: (_memory, sound) => ({
      listKeys: (page, call) =>
        (sound.listKeys as never as (...given: unknown[]) => never)({ ...page, limit: 99 }, call),
    }),
  },
  'lists nothing': {
    noticedBy: 'page by page',
    driver: () => ({ listKeys: async () => ({ keys: [], cursor: undefined }) }),
  },
  'wraps without the context': {
    noticedBy: 'another context',
    driver: (_memory, sound) => ({
      wrapKey: (key, bytes, _context, call) =>
        (sound.wrapKey as NonNullable<KmsDriver['wrapKey']>)(key, bytes, {}, call),
      unwrapKey: (key, bytes, _context, call) =>
        (sound.unwrapKey as NonNullable<KmsDriver['unwrapKey']>)(key, bytes, {}, call),
    }),
  },
  'wraps into the clear': {
    noticedBy: 'unwraps what it wrapped',
    driver: () => ({ wrapKey: async (_key, bytes) => bytes, unwrapKey: async (_key, bytes) => bytes }),
  },
  'unwraps with any key': {
    noticedBy: 'with another key',
    driver: (memory, sound) => ({
      async createWrappingKey(input, call) {
        const made = await (sound.createWrappingKey as NonNullable<KmsDriver['createWrappingKey']>)(input, call);
        const [first] = memory.wrapping.values();
        memory.wrapping.set(made.externalId, first as never);
        return made;
      },
    }),
  },
  'tells why it does not unwrap': {
    noticedBy: 'what was changed',
    driver: (_memory, sound) => ({
      async unwrapKey(...given) {
        return await (sound.unwrapKey as NonNullable<KmsDriver['unwrapKey']>)(...given).catch(() => {
          throw new KmsError('ERR_KMS_BACKEND');
        });
      },
    }),
  },
  'joins contexts without lengths': {
    noticedBy: 'another context',
    driver: (_memory, sound) => {
      const joined = (context: object): { joined: string } => ({ joined: Object.values(context).join('') });
      return {
        wrapKey: (key, bytes, context, call) =>
          (sound.wrapKey as NonNullable<KmsDriver['wrapKey']>)(key, bytes, joined(context), call),
        unwrapKey: (key, bytes, context, call) =>
          (sound.unwrapKey as NonNullable<KmsDriver['unwrapKey']>)(key, bytes, joined(context), call),
      };
    },
  },
  'says that it is well when nobody answers': {
    noticedBy: 'does not answer',
    setup: () => ({ unreachable: () => defineProvider(memoryDriver(), { id: 'down' }) }),
  },
  'takes any argument': {
    noticedBy: 'refuses arguments',
    provider: (sound) => ({ sign: (key) => sound.sign(key, Buffer.from('anything')) }),
  },
  'does not look at its signal': {
    noticedBy: 'called off before',
    provider: (sound) => ({ sign: (key, data) => sound.sign(key, data) }),
  },
  'asks the backend for each public key': {
    noticedBy: 'and then from memory',
    provider: (sound) => ({
      getPublicKey: (key) => sound.exportKey(key).then(({ d: _private, ...jwk }) => jwk as never),
    }),
  },
  'shows its token in an error': {
    noticedBy: 'no credential',
    provider: () => ({
      async sign() {
        throw Object.assign(new KmsError('ERR_KMS_INVALID_ARGUMENT'), { request: { headers: [TOKEN] } });
      },
    }),
  },
  'shows its token when it is inspected': {
    noticedBy: 'no credential',
    driver: () => ({}),
    provider: () => ({ token: Buffer.from(TOKEN).toString('hex') }) as never,
    setup: () => ({ logged: () => `connected with ${Buffer.from(TOKEN).toString('base64')}` }),
  },
  'stores the private key': {
    noticedBy: 'no private key',
    setup: (memory) => ({
      atRest: async () =>
        Buffer.concat(
          [...memory.keys.values()].map(({ privateKey }) => {
            return privateKey.export({ format: 'der', type: 'pkcs8' });
          }),
        ),
    }),
  },
  'stores the private key as text': {
    noticedBy: 'no private key',
    setup: (memory) => ({
      atRest: async () =>
        [...memory.keys.values()].map(({ privateKey }) => privateKey.export({ format: 'pem', type: 'pkcs8' })).join(''),
    }),
  },
  'keeps signing when it is closed': {
    noticedBy: 'closed provider',
    provider: (sound) => ({ close: async () => void sound }),
  },
};

/** Noticed by the time that they take. */
const LATE: Readonly<Record<string, Broken>> = {
  'hangs when it is asked how it is': {
    noticedBy: 'healthy',
    driver: () => ({ probe: () => new Promise(() => {}) }),
  },
  'waits for ever for a backend that is away': {
    noticedBy: 'does not answer',
    setup: () => ({
      unreachable() {
        const hanging = (): Promise<never> => new Promise(() => {});
        const made = defineProvider({ ...memoryDriver(), reach: 'local', sign: hanging }, { id: 'down' });
        const late = {
          providerId: 'down',
          type: 'memory',
          ok: false,
          latencyMs: 5_100,
          code: 'ERR_KMS_TIMEOUT',
        } as const;
        const health = () =>
          new Promise<KmsHealth>((resolve) => setTimeout(() => resolve({ ...late, error: late.code }), 5_100));
        return overlaid(made, { health });
      },
    }),
  },
};

it('the suite finds nothing wrong with a sound driver', async () => {
  expect(await failing({})).toEqual([]);
});

it.concurrent.each(Object.entries(BROKEN))('the suite notices a provider that %s', async (_, broken) => {
  expect(await failing(broken)).not.toEqual([]);
});

it.each(Object.entries(LATE))('the suite notices a provider that %s', async (_, broken) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const found = failing(broken);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await found).not.toEqual([]);
  } finally {
    vi.useRealTimers();
  }
});
