// What runs in the browser, bundled by the browser test. Values cross the border as JSON, bytes as hex.
import { createKeyring, inspectEnvelope, isEncrypted, type Keyring, type Suite } from '@keywright/envelope';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { decryptStream, encryptStream } from '@keywright/envelope/stream';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { type VectorFile, vectorProblems } from '../check-vectors.ts';

export type Form = 'v1' | 'object' | 'text' | 'bytes' | 'stream';

/** One value on its way through one form. */
export interface Passage {
  readonly form: Form;
  /** `undefined` for the default. */
  readonly suite?: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly context: Readonly<Record<string, string>>;
  /** A text; in the bytes form and in a stream, its UTF-8. */
  readonly payload: unknown;
}

const sodium = await loadLibsodium();
const suites: Readonly<Record<string, Suite>> = {
  'XC20P by @noble/ciphers': xchacha20Poly1305,
  'XC20P by libsodium': sodium.xchacha20Poly1305,
  'XS20P by libsodium': sodium.secretbox,
};

const page = {
  /** What a browser has and has not. */
  environment: (): Record<string, string> => {
    const { process, Buffer, require, window } = globalThis as Record<string, unknown>;
    return { process: typeof process, Buffer: typeof Buffer, require: typeof require, window: typeof window };
  },

  vectors: (name: string, file: VectorFile, xchacha: string): Promise<string[]> => {
    const given = [suites[xchacha] as Suite, sodium.secretbox];
    return vectorProblems(name, file, { createKeyring, decryptStream, suites: given });
  },

  seal: async (passage: Passage): Promise<unknown> => {
    const { form, context } = passage;
    const keyring = keyringOf(passage);
    const payload = passage.payload as string;
    if (form === 'v1') return encryptCredentials(payload, keyring);
    if (form === 'object') return keyring.encrypt(payload, { context });
    if (form === 'text') return keyring.encryptText(payload, { context });
    const bytes = new TextEncoder().encode(payload);
    if (form === 'bytes') return hex(keyring.encryptBytes(bytes, { context }));
    return hex(await through(bytes, encryptStream(keyring, { context, chunkBytes: 1024 })));
  },

  open: async (passage: Passage): Promise<unknown> => {
    const { form, context, payload } = passage;
    const keyring = keyringOf(passage);
    if (form === 'v1') return decryptCredentials(payload, keyring);
    if (form === 'object') return keyring.decrypt(payload, { context });
    if (form === 'text') return keyring.decryptText(payload as string, { context });
    const bytes = unhex(payload as string);
    const opened =
      form === 'bytes'
        ? keyring.decryptBytes(bytes, { context })
        : await through(bytes, decryptStream(keyring, { context }));
    return new TextDecoder().decode(opened);
  },

  /** What has nothing to do with keys. */
  look: (envelope: unknown): unknown => [isEncrypted(envelope), inspectEnvelope(envelope)],

  /** How a key looks to whoever is curious. */
  leaks: (keys: Readonly<Record<string, string>>): string => {
    const keyring = createKeyring({ keys, activeKid: Object.keys(keys)[0] ?? '' });
    keyring.encrypt('x', { context: {} });
    return JSON.stringify(keyring) + JSON.stringify(Object.getOwnPropertyDescriptors(keyring));
  },
};
export type Page = typeof page;
Object.assign(globalThis, { keywright: page });

function keyringOf({ keys, suite }: Passage): Keyring {
  const [activeKid = ''] = Object.keys(keys);
  const all = [xchacha20Poly1305, sodium.secretbox];
  return createKeyring({ keys, activeKid, suites: all, suite: suite === undefined ? undefined : suites[suite] });
}

async function through(bytes: Uint8Array, pair: ReturnType<typeof encryptStream>): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (let at = 0; at < bytes.length; at += 500) controller.enqueue(bytes.slice(at, at + 500));
      controller.close();
    },
  });
  const reader = source.pipeThrough(pair).getReader();
  const out: number[] = [];
  for (let read = await reader.read(); !read.done; read = await reader.read()) out.push(...read.value);
  return Uint8Array.from(out);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
