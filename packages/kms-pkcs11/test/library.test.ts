import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { verifySignature } from '@keywright/kms';
import { type Pkcs11ProviderOptions, pkcs11Provider } from '@keywright/kms-pkcs11';
import { describeOnNss, describeOnSoftHsm } from '@keywright/testkit/hsm';
import { expect, it, onTestFinished } from 'vitest';
import { BareToken, countingBinding, optionsOn, rejection } from './harness.ts';

const DATA = Buffer.from('data');
const INPUT = { tenantId: 'acme', keyId: 'k1' };

describeOnSoftHsm('a library', (token) => {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'keywright-library-'));
    onTestFinished(() => rmSync(path, { recursive: true }));
    return path;
  };

  it('is started once for all providers, and stopped with the last', async () => {
    const { binding: module, calls } = countingBinding();
    const link = join(folder(), 'by-another-name.so');
    symlinkSync(token().library, link);
    const first = pkcs11Provider(optionsOn(token(), { module }));
    const second = pkcs11Provider(optionsOn(token(), { module, id: 'second', library: link }));
    const key = await first.createKey(INPUT);
    expect(await second.health()).toMatchObject({ ok: true });
    await first.close();
    const same = { ...key, providerId: 'second' };
    expect(verifySignature('ES256', key.publicJwk, DATA, await second.sign(same, DATA))).toBe(true);
    expect([calls.get('C_Initialize'), calls.get('C_Finalize')]).toEqual([1, undefined]);
    await second.close();
    expect([calls.get('C_Initialize'), calls.get('C_Finalize')]).toEqual([1, 1]);
    expect(calls.get('C_OpenSession')).toBe(calls.get('C_CloseSession'));
  });

  it('that another part of the process has started is used, and left running', async () => {
    const bare = new BareToken(token());
    const { binding: module, calls } = countingBinding();
    const provider = pkcs11Provider(optionsOn(token(), { module }));
    expect(await provider.health()).toMatchObject({ ok: true });
    await provider.close();
    expect(calls.get('C_Finalize')).toBe(undefined);
    expect(bare.cryptoki.C_GetTokenInfo(bare.slot).label.trim()).toBe(token().label);
    bare.cryptoki.C_Finalize();
  });

  it('is used from several threads of a process at once', { timeout: 30_000 }, async () => {
    const provider = pkcs11Provider(optionsOn(token()));
    onTestFinished(() => provider.close());
    const key = await provider.createKey(INPUT);
    const workers = Array.from({ length: 2 }, () => inWorker(optionsOn(token()), key));
    const own = Array.from({ length: 200 }, () => provider.sign(key, DATA));
    for (const signature of [...(await Promise.all(workers)), ...(await Promise.all(own))].flat()) {
      expect(verifySignature('ES256', key.publicJwk, DATA, signature)).toBe(true);
    }
    expect(await provider.health()).toMatchObject({ ok: true });
  });

  it('that is missing, or is none, is named by its field and never by its path', async () => {
    const none = join(folder(), 'none.so');
    copyFileSync(import.meta.filename, none);
    for (const library of ['/no/such/secret-library.so', none]) {
      const provider = pkcs11Provider(optionsOn(token(), { library }));
      const error = await rejection(provider.createKey(INPUT));
      expect(error).toMatchObject({ code: 'ERR_KMS_LIBRARY_MISSING', context: { field: 'library' }, retryable: false });
      expect(JSON.stringify(error) + error.stack + String(error.cause)).not.toContain(library);
      expect(await provider.health()).toMatchObject({ ok: false, code: 'ERR_KMS_LIBRARY_MISSING' });
      await provider.close();
    }
  });

  it('is not reached where the binding was not built, which a call says', async () => {
    const place = folder();
    mkdirSync(join(place, 'node_modules', '@keywright'), { recursive: true });
    for (const name of ['envelope', 'kms']) {
      const target = new URL(`../../${name}`, import.meta.url);
      symlinkSync(fileURLToPath(target), join(place, 'node_modules', '@keywright', name));
    }
    copyFileSync(new URL('../dist/index.js', import.meta.url), join(place, 'index.mjs'));
    const script = `
      import { pkcs11Provider } from './index.mjs';
      const provider = pkcs11Provider(${JSON.stringify(optionsOn(token()))});
      const { ok, code } = await provider.health();
      const { context } = await provider.createKey({ tenantId: 'acme', keyId: 'k1' }).catch((error) => error);
      await provider.close();
      console.log(JSON.stringify({ ok, code, driver: context.driver }));
    `;
    const args = ['--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: place });
    expect(JSON.parse(stdout)).toEqual({ ok: false, code: 'ERR_KMS_LIBRARY_MISSING', driver: 'pkcs11js' });
  });

  it('that has no such token is asked for it again later, and not by every call', async () => {
    const { binding: module, calls } = countingBinding();
    const provider = pkcs11Provider(optionsOn(token(), { module, slot: 'comes later' }));
    onTestFinished(() => provider.close());
    const start = performance.now();
    const failed = await Promise.all(Array.from({ length: 50 }, () => rejection(provider.createKey(INPUT))));
    expect(new Set(failed.map(({ code }) => code))).toEqual(new Set(['ERR_KMS_UNAVAILABLE']));
    expect(performance.now() - start).toBeLessThan(4_000);
    const asked = calls.get('C_GetSlotList') ?? 0;
    expect(asked).toBeLessThan(10);
    expect((await rejection(provider.createKey(INPUT))).code).toBe('ERR_KMS_UNAVAILABLE');
    expect(calls.get('C_GetSlotList')).toBe(asked);
  });

  it('finds a token by index, slot number, serial number, label and URI', async () => {
    const bare = new BareToken(token());
    const { serialNumber } = bare.cryptoki.C_GetTokenInfo(bare.slot);
    const slots = bare.cryptoki.C_GetSlotList(true);
    const { slot: label, ...rest } = optionsOn(token());
    const { pin, ...noPin } = rest;
    const uri = `pkcs11:token=${encodeURIComponent(token().label)};manufacturer=SoftHSM%20project`;
    const ways: readonly Pkcs11ProviderOptions[] = [
      { ...rest, slot: slots.findIndex((slot) => slot.equals(bare.slot)) },
      { ...rest, slotId: Number(bare.slot.readBigUInt64LE()) },
      { ...rest, serial: serialNumber.trim() },
      { ...rest, slot: label },
      { ...rest, uri },
      { ...noPin, uri: `${uri}?pin-value=${pin}` },
    ];
    for (const options of ways) {
      const provider = pkcs11Provider(options);
      expect(await provider.health()).toMatchObject({ ok: true });
      await provider.close();
    }
    const strangers: readonly Pkcs11ProviderOptions[] = [
      { ...rest, slot: slots.length + 5 },
      // The slot that SoftHSM keeps for the next token has none that was initialised.
      { ...rest, slot: slots.findIndex((slot) => !slot.equals(bare.slot)) },
      { ...rest, serial: 'other' },
      { ...rest, uri: `${uri};model=other` },
    ];
    for (const options of strangers) {
      const provider = pkcs11Provider({ ...options, timeoutMs: 100 });
      expect((await provider.health()).ok).toBe(false);
      await provider.close();
    }
    bare.cryptoki.C_Finalize();
  });
});

describeOnNss('a library', (token) => {
  it('runs with its parameters to their last character, and not with two sets of them', async () => {
    expect(token().libraryParameters?.at(-1)).toBe("'");
    const first = pkcs11Provider(optionsOn(token()));
    expect(await first.health()).toMatchObject({ ok: true });
    const second = pkcs11Provider(optionsOn(token(), { libraryParameters: "configdir='sql:/elsewhere'" }));
    const refused = await rejection(second.createKey(INPUT));
    expect(refused).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: 'libraryParameters' } });
    await Promise.all([first.close(), second.close()]);
  });
});

/** Signs on another thread, by the package as it is built. */
function inWorker(options: Pkcs11ProviderOptions, key: object): Promise<readonly Uint8Array[]> {
  const source = `
    const { parentPort, workerData } = await import('node:worker_threads');
    const { pkcs11Provider } = await import(workerData.module);
    const provider = pkcs11Provider(workerData.options);
    const signing = Array.from({ length: 200 }, () => provider.sign(workerData.key, Buffer.from('data')));
    const signatures = await Promise.all(signing);
    await provider.close();
    parentPort.postMessage(signatures);
  `;
  const module = new URL('../dist/index.js', import.meta.url).href;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
    workerData: { module, options, key },
  });
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
