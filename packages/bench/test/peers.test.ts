import { describe, expect, test } from 'vitest';
import { Fixtures } from '../src/fixtures.ts';
import { keywright } from '../src/keywright.ts';
import { peers } from '../src/peers/index.ts';
import type { Codec, Codecs, Form, Payloads } from '../src/peers/peer.ts';
import { PAYLOAD_SIZES } from '../src/sizes.ts';

const FORMS = ['object', 'text', 'bytes'] as const;
const KEY = new Fixtures(1).bytes(32);
const CONTEXT = { table: 'connections', tenant: 'acme' };
const ours = { name: 'keywright', version: '0.0.0', forms: FORMS, binds: true, load: keywright };
const everyone = [ours, ...peers];

const cases = everyone.flatMap(({ name, binds, load, forms }) => forms.map((form) => ({ name, form, binds, load })));

describe.for(cases)('$name, $form', ({ form, binds, load }) => {
  test.for(PAYLOAD_SIZES)('$name comes back', async ({ bytes }) => {
    const codec = await codecOf(load, form, KEY);
    const payload = payloadOf(form, bytes);
    const sealed = await codec.seal(payload, CONTEXT);
    expect(same(await codec.open(sealed, { ...CONTEXT }), payload)).toBe(true);
    expect(same(sealed, payload)).toBe(false);
  });

  test('what was tampered with is refused, wherever it was', async () => {
    const codec = await codecOf(load, form, KEY);
    const sealed = await codec.seal(payloadOf(form, 256), CONTEXT);
    for (const share of [0.5, 0.7, 0.9, 0.98]) {
      await expect(settle(() => codec.open(tampered(sealed, share), CONTEXT))).rejects.toThrow();
    }
    await expect(settle(() => codec.open(sealed, CONTEXT))).resolves.toBeDefined();
  });

  test('another key does not open it', async () => {
    const sealed = await (await codecOf(load, form, KEY)).seal(payloadOf(form, 256), CONTEXT);
    const stranger = await codecOf(load, form, new Fixtures(2).bytes(32));
    await expect(settle(() => stranger.open(sealed, CONTEXT))).rejects.toThrow();
  });

  test(`another context ${binds ? 'does not open it' : 'opens it: it is bound to none'}`, async () => {
    const codec = await codecOf(load, form, KEY);
    const payload = payloadOf(form, 256);
    const opened = settle(async () => codec.open(await codec.seal(payload, CONTEXT), { ...CONTEXT, tenant: 'other' }));
    if (binds) await expect(opened).rejects.toThrow();
    else expect(same(await opened, payload)).toBe(true);
  });

  test('the same payload is never sealed alike', async () => {
    const codec = await codecOf(load, form, KEY);
    const payload = payloadOf(form, 256);
    expect(same(await codec.seal(payload, CONTEXT), await codec.seal(payload, CONTEXT))).toBe(false);
  });
});

test.for([...peers])('$name: forms and version are what is loaded and installed', async ({ forms, version, load }) => {
  expect(Object.keys(await load(KEY)).toSorted()).toEqual([...forms].toSorted());
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test('every form has a peer', () => {
  for (const form of FORMS) expect(peers.some(({ forms }) => forms.includes(form))).toBe(true);
});

async function codecOf(
  load: (key: Buffer) => Codecs | Promise<Codecs>,
  form: Form,
  key: Buffer,
): Promise<Codec<unknown>> {
  const codec = (await load(key))[form];
  if (codec === undefined) throw new Error(`No ${form} form.`);
  return codec as Codec<unknown>;
}

function payloadOf(form: Form, length: number): Payloads[Form] {
  const fixtures = new Fixtures(3);
  if (form === 'object') return fixtures.credentials(length);
  return form === 'text' ? fixtures.token(length) : fixtures.bytes(length);
}

/** A promise of what a call returns or throws. */
async function settle(call: () => unknown): Promise<unknown> {
  return await call();
}

function same(left: unknown, right: unknown): boolean {
  const bytes = left instanceof Uint8Array && right instanceof Uint8Array;
  return bytes ? Buffer.compare(left, right) === 0 : JSON.stringify(left) === JSON.stringify(right);
}

/** With one bit changed, or one character; in an object, in its ciphertext. */
function tampered(sealed: unknown, share: number): unknown {
  if (sealed instanceof Uint8Array) {
    const copy = Buffer.from(sealed);
    const at = Math.floor(copy.length * share);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  }
  if (typeof sealed === 'string') {
    const at = Math.floor(sealed.length * share);
    return `${sealed.slice(0, at)}${sealed[at] === 'A' ? 'B' : 'A'}${sealed.slice(at + 1)}`;
  }
  const envelope = sealed as { readonly ct: string };
  return { ...envelope, ct: tampered(envelope.ct, share) };
}
