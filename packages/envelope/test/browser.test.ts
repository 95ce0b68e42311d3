import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createKeyring, inspectEnvelope, type Keyring, type Suite } from '@keywright/envelope';
import { decryptCredentials, encryptCredentials } from '@keywright/envelope/compat';
import { loadLibsodium } from '@keywright/envelope/libsodium';
import { decryptStream, encryptStream } from '@keywright/envelope/stream';
import { xchacha20Poly1305 } from '@keywright/envelope/xchacha20-poly1305';
import { requireOrSkip } from '@keywright/testkit';
import { build, type Metafile } from 'esbuild';
import { type Browser, chromium, type Page as Tab } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Form, Page } from './browser/page.ts';
import { CONTEXT, KEYS } from './support.ts';

const CHROMIUM = process.env.KEYWRIGHT_CHROMIUM ?? '/usr/bin/chromium';
const executablePath = requireOrSkip('chromium', existsSync(CHROMIUM) ? CHROMIUM : undefined, 'Debian: chromium.');
// No sandbox, because CI runs as root; no background services, which look for hosts that are not there.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
const MORE_FLAGS = ['--disable-component-update', '--disable-sync'];

const TEXT = 'ünïcødé 🔑 '.repeat(300);
const keys = { v1: KEYS.v1.toString('hex') };
const { xchacha20Poly1305: xchachaBySodium, secretbox } = await loadLibsodium();
const suites: Readonly<Record<string, Suite | undefined>> = {
  'AES-256-GCM': undefined,
  'XC20P by @noble/ciphers': xchacha20Poly1305,
  'XC20P by libsodium': xchachaBySodium,
  'XS20P by libsodium': secretbox,
};
const FORMS: readonly Form[] = ['v1', 'object', 'text', 'bytes', 'stream'];
const passages = Object.keys(suites).flatMap((suite) => FORMS.map((form) => ({ suite, form })));
const vectors = ['v1', 'v2-object', 'v2-text', 'v2-bytes', 'v2-stream', 'v2-steps', 'check-values', 'macs', 'errors'];
const suiteVectors = ['xc20p', 'xs20p'].flatMap((suite) =>
  ['object', 'text', 'bytes'].map((form) => `v2-${suite}-${form}`),
);

describe.skipIf(executablePath === undefined)(
  'in Chromium (needs it: Debian package chromium)',
  { timeout: 60_000 },
  () => {
    let browser: Browser;
    let server: Server;
    let tab: Tab;
    let metafile: Metafile;

    beforeAll(async () => {
      const bundle = await bundled();
      metafile = bundle.metafile;
      server = createServer((request, response) => {
        const script = request.url === '/page.js';
        response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
        response.end(script ? bundle.code : '<!doctype html><script type="module" src="/page.js"></script>');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      browser = await chromium.launch({ executablePath: executablePath as string, args: [...FLAGS, ...MORE_FLAGS] });
      tab = await browser.newPage();
      const errors: Error[] = [];
      tab.on('pageerror', (error) => errors.push(error));
      await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await tab.waitForFunction('globalThis.keywright !== undefined');
      expect(errors).toEqual([]);
    }, 60_000);

    afterAll(async () => {
      await browser?.close();
      server?.close();
    });

    /** Calls a function of the page. */
    function call<Name extends keyof Page>(
      name: Name,
      ...args: Parameters<Page[Name]>
    ): Promise<Awaited<ReturnType<Page[Name]>>> {
      return tab.evaluate(`globalThis.keywright[${JSON.stringify(name)}](...${JSON.stringify(args)})`);
    }

    it('the page gets the portable build by the conditions of package.json, and nothing of Node', async () => {
      const inputs = Object.keys(metafile.inputs).filter((input) => input.includes('dist/'));
      const ours = inputs.filter((input) => /(?:^|\/)dist\/(?:node|portable)\//.test(input));
      expect(ours.length).toBeGreaterThan(4);
      expect(ours.filter((input) => !input.includes('dist/portable/'))).toEqual([]);
      expect(JSON.stringify(metafile)).not.toContain('"node:');
      expect(await call('environment')).toEqual({
        process: 'undefined',
        Buffer: 'undefined',
        require: 'undefined',
        window: 'object',
      });
    });

    it.each([...vectors, ...suiteVectors, 'stream-errors'])('the vectors %s hold there', async (name) => {
      const file = JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8'));
      expect(file.vectors.length).toBeGreaterThan(1);
      for (const xchacha of ['XC20P by @noble/ciphers', 'XC20P by libsodium']) {
        expect(await call('vectors', name, file, xchacha)).toEqual([]);
      }
    });

    it.each(passages)(
      '$form with $suite: what the browser seals, Node opens, and the other way round',
      async ({ suite, form }) => {
        const of = { form, keys, context: CONTEXT, ...(suites[suite] && { suite }) };
        const keyring = createKeyring({
          keys,
          activeKid: 'v1',
          suite: suites[suite],
          suites: [xchacha20Poly1305, secretbox],
        });
        expect(await openInNode(keyring, form, await call('seal', { ...of, payload: TEXT }))).toBe(TEXT);
        const ours = await sealInNode(keyring, form);
        expect(await call('open', { ...of, payload: ours })).toBe(TEXT);
        if (form === 'v1') return;
        const elsewhere = call('open', { ...of, payload: ours, context: { ...CONTEXT, tenant: 'globex' } });
        await expect(elsewhere).rejects.toThrow(/could not be decrypted/);
      },
    );

    it('envelopes are told apart there as here', async () => {
      const keyring = createKeyring({ keys, activeKid: 'v1', suite: secretbox });
      const envelope = keyring.encrypt('x', { context: {} });
      expect(await call('look', envelope)).toEqual([true, inspectEnvelope(envelope)]);
    });

    it('a keyring shows no key there', async () => {
      const shown = await call('leaks', keys);
      expect(shown).toContain('activeKid');
      for (const key of [keys.v1.slice(0, 16), KEYS.v1.toString('base64').slice(0, 16), '1,1,1,1']) {
        expect(shown).not.toContain(key);
      }
    });
  },
);

/** The page and all it needs, from the published files of this package as its `exports` hand them to a browser. */
async function bundled(): Promise<{ code: string; metafile: Metafile }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [new URL('./browser/page.ts', import.meta.url).pathname],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2024',
    metafile: true,
    write: false,
    logLevel: 'silent',
    tsconfigRaw: '{}',
  });
  return { code: outputFiles[0]?.text ?? '', metafile };
}

async function sealInNode(keyring: Keyring, form: Form): Promise<unknown> {
  if (form === 'v1') return encryptCredentials(TEXT, keyring);
  if (form === 'object') return keyring.encrypt(TEXT, { context: CONTEXT });
  if (form === 'text') return keyring.encryptText(TEXT, { context: CONTEXT });
  if (form === 'bytes') return keyring.encryptBytes(Buffer.from(TEXT), { context: CONTEXT }).toString('hex');
  return (await through(Buffer.from(TEXT), encryptStream(keyring, { context: CONTEXT }))).toString('hex');
}

async function openInNode(keyring: Keyring, form: Form, envelope: unknown): Promise<unknown> {
  if (form === 'v1') return decryptCredentials(envelope, keyring);
  if (form === 'object') return keyring.decrypt(envelope, { context: CONTEXT });
  if (form === 'text') return keyring.decryptText(envelope as string, { context: CONTEXT });
  const bytes = Buffer.from(envelope as string, 'hex');
  if (form === 'bytes') return keyring.decryptBytes(bytes, { context: CONTEXT }).toString();
  return (await through(bytes, decryptStream(keyring, { context: CONTEXT }))).toString();
}

async function through(bytes: Uint8Array, pair: ReturnType<typeof encryptStream>): Promise<Buffer> {
  const source = Readable.toWeb(Readable.from([bytes], { objectMode: true })) as ReadableStream<Uint8Array>;
  const pieces: Uint8Array[] = [];
  for await (const piece of source.pipeThrough(pair)) pieces.push(piece);
  return Buffer.concat(pieces);
}
