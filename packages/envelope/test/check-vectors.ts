// Runs the frozen vectors against an implementation. Nothing here needs Node: the browser test loads it too.
import type { CreateKeyringOptions, Keyring, Suite } from '@keywright/envelope';

export interface VectorFile {
  readonly keys: Readonly<Record<string, string>>;
  readonly vectors: readonly Vector[];
}

/** Any vector of any file; the file's README says which members it has. */
export interface Vector {
  readonly context?: Readonly<Record<string, string>>;
  readonly value?: unknown;
  readonly plaintext?: string;
  readonly envelope?: unknown;
  readonly what?: string;
  readonly form?: 'object' | 'text' | 'bytes';
  readonly code?: string;
  readonly reader?: { readonly suites?: readonly string[]; readonly v1?: 'reject' };
  readonly suite?: string;
  readonly type?: 'json' | 'text' | 'bytes';
  readonly kid?: string;
  readonly iv?: string;
  readonly ct?: string;
  readonly checkValue?: string;
  readonly purpose?: string;
  readonly parts?: readonly { readonly text?: string; readonly hex?: string }[];
  readonly mac?: string;
}

/** The implementation under test. */
export interface Implementation {
  readonly createKeyring: (options: CreateKeyringOptions) => Keyring;
  /** One of each besides AES-256-GCM. */
  readonly suites: readonly Suite[];
  /** A pair of web streams. */
  readonly decryptStream: (keyring: Keyring, options: { context: Readonly<Record<string, string>> }) => ByteStreamPair;
}

type ByteStreamPair = ReadableWritablePair<Uint8Array, Uint8Array>;

/** What does not hold, one line for each; empty when all vectors do. */
export async function vectorProblems(name: string, file: VectorFile, of: Implementation): Promise<string[]> {
  const problems: string[] = [];
  for (const [index, vector] of file.vectors.entries()) {
    const found = await problemOf(name, vector, file.keys, of);
    if (found !== undefined) problems.push(`${name}[${index}] ${vector.what ?? ''}: ${found}`);
  }
  return problems;
}

type Check = (vector: Vector, keyring: Keyring) => string | undefined | Promise<string | undefined>;

async function problemOf(
  name: string,
  vector: Vector,
  keys: VectorFile['keys'],
  of: Implementation,
): Promise<string | undefined> {
  const { reader } = vector;
  const suites = of.suites.filter(({ id }) => reader?.suites?.includes(id) ?? true);
  const activeKid = Object.keys(keys)[0] ?? '';
  const keyring = of.createKeyring({ keys, activeKid, suites, v1: reader?.v1 ?? 'allow' });
  try {
    return await checkOf(name, of)(vector, keyring);
  } catch (error) {
    return `threw ${(error as { code?: string }).code ?? String(error)}`;
  }
}

function checkOf(name: string, of: Implementation): Check {
  if (name === 'errors') return refused;
  if (name === 'v2-steps') return assembled;
  if (name === 'v2-stream') return streamHolds(of);
  if (name === 'stream-errors') return streamRefused(of);
  if (name === 'check-values') return checkValueHolds;
  if (name === 'macs') return macHolds;
  const form = name === 'v1' ? 'object' : name.replace(/^.*-/, '');
  return (vector, keyring) => {
    const expected = form === 'object' ? JSON.stringify(vector.value) : vector.plaintext;
    const wrong =
      open(form, vector.envelope, vector.context ?? {}, keyring) === expected ? undefined : 'opens otherwise';
    if (wrong !== undefined || name === 'v1') return wrong;
    const other = { ...vector.context, tenant: 'globex' };
    return refusal(() => open(form, vector.envelope, other, keyring)) === 'ERR_ENVELOPE_DECRYPT'
      ? undefined
      : 'opens under another context';
  };
}

const refused: Check = ({ form = 'object', envelope, context = {}, code }, keyring) => {
  const found = refusal(() => open(form, envelope, context, keyring));
  return found === code ? undefined : `${found} instead of ${code}`;
};

function streamHolds(of: Implementation): Check {
  return async ({ envelope, context = {}, plaintext }, keyring) => {
    for (const pieces of [1 << 20, 1000]) {
      const { out, code } = await readStream(of, envelope as string, context, keyring, pieces);
      if (code !== undefined) return `${code} in pieces of ${pieces}`;
      if (out !== plaintext) return `opens otherwise in pieces of ${pieces}`;
    }
    const other = await readStream(of, envelope as string, { ...context, tenant: 'globex' }, keyring, 1000);
    return other.code === 'ERR_ENVELOPE_DECRYPT' && other.out === '' ? undefined : 'opens under another context';
  };
}

function streamRefused(of: Implementation): Check {
  return async ({ envelope, context = {}, code }, keyring) => {
    const { code: found } = await readStream(of, envelope as string, context, keyring, 1000);
    return found === code ? undefined : `${found} instead of ${code}`;
  };
}

/** Reads a stream in pieces to its end or error; what came out before is hex. */
async function readStream(
  of: Implementation,
  envelope: string,
  context: Readonly<Record<string, string>>,
  keyring: Keyring,
  pieces: number,
): Promise<{ out: string; code?: string }> {
  const bytes = unhex(envelope);
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < bytes.length; at += pieces) controller.enqueue(bytes.slice(at, at + pieces));
      controller.close();
    },
  });
  let out = '';
  try {
    const reader = source.pipeThrough(of.decryptStream(keyring, { context })).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) out += hex(read.value);
    return { out };
  } catch (error) {
    return { out, code: (error as { code?: string }).code ?? String(error) };
  }
}

/** Puts an envelope together out of its parts. */
const assembled: Check = ({ suite = '', type, kid = '', iv = '', ct = '', context = {}, plaintext = '' }, keyring) => {
  const text = new TextDecoder().decode(unhex(plaintext));
  if (type === 'bytes') {
    const code = { A256GCM: '01', XC20P: '02', XS20P: '03' }[suite];
    const envelope = `4b5702${code}${hex([kid.length])}${hex(new TextEncoder().encode(kid))}${iv}${ct}`;
    return open('bytes', envelope, context, keyring) === plaintext ? undefined : 'opens otherwise';
  }
  if (type === 'text') {
    const token = ['kw2', suite, kid, url(iv), url(ct)].join('.');
    return open('text', token, context, keyring) === text ? undefined : 'opens otherwise';
  }
  const alg = suite === 'A256GCM' ? {} : { alg: suite };
  const envelope = { __enc: 2, ...alg, kid, iv: base64(iv), ct: base64(ct) };
  return open('object', envelope, context, keyring) === text ? undefined : 'opens otherwise';
};

const checkValueHolds: Check = async ({ kid = '', checkValue = '' }, keyring) => {
  const value = unhex(checkValue);
  if (hex(await keyring.checkValue(kid)) !== checkValue) return 'has another check value';
  if (!(await keyring.verifyCheckValue(kid, value))) return 'does not verify';
  value[0] = (value[0] as number) ^ 1;
  return (await keyring.verifyCheckValue(kid, value)) ? 'verifies when changed' : undefined;
};

const macHolds: Check = ({ kid = '', purpose = '', parts = [], mac = '' }, keyring) => {
  const list = parts.map(({ text, hex: bytes }) => text ?? unhex(bytes ?? ''));
  if (!keyring.verifyMac(purpose, list, { kid, mac: unhex(mac) })) return 'does not verify';
  if (keyring.activeKid !== kid) keyring.activate(kid);
  return hex(keyring.mac(purpose, list).mac) === mac ? undefined : 'is another mac';
};

/** Opens an envelope of a form; JSON comes back as its text, bytes as hex. */
function open(form: string, envelope: unknown, context: Readonly<Record<string, string>>, keyring: Keyring): string {
  if (form === 'object') return JSON.stringify(keyring.decrypt(envelope, { context }));
  if (form === 'text') return keyring.decryptText(envelope as string, { context });
  return hex(keyring.decryptBytes(unhex(envelope as string), { context }));
}

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as { code?: string }).code ?? `an error without a code: ${String(error)}`;
  }
  return 'opened';
}

function hex(bytes: ArrayLike<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...unhex(text)));
}

function url(text: string): string {
  return base64(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
