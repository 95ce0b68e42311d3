import { Fixtures } from '../fixtures.ts';
import { keywright } from '../keywright.ts';
import { peers } from '../peers/index.ts';
import { limits } from '../peers/limits.ts';
import type { Codec, Form, Payloads, Peer } from '../peers/peer.ts';
import { Rows } from '../rows.ts';
import { PAYLOAD_SIZES, type Size } from '../sizes.ts';
import type { Case, Contender, Suite } from '../suite.ts';

const OPERATIONS = ['encrypt', 'decrypt', 'round trip'] as const;
type Operation = (typeof OPERATIONS)[number];

const MORE =
  'the baseline. Names its key, bound to a context of four pairs that is new at every call, committed to its key.';
const OURS: Readonly<Record<Form, string>> = {
  object: `\`keyring.encrypt\` and \`keyring.decrypt\`, ${MORE}`,
  text: `\`keyring.encryptText\` and \`keyring.decryptText\`, ${MORE}`,
  bytes: `\`keyring.encryptBytes\` and \`keyring.decryptBytes\`, ${MORE}`,
};

/** Each form of envelope against the libraries that have one like it. */
export const envelopePeers: readonly Suite[] = (['object', 'text', 'bytes'] as const).map((form) => ({
  name: `envelope-peers-${form}`,
  title: `Peers: ${form}`,
  about: aboutOf(form),
  operation: 'time',
  picture: 'panels',
  rounds: 5,
  sliceMs: 15,
  cases: () => casesOf(form),
}));

type Standing = Pick<Contender, 'role' | 'minRatio'>;
type Entrant = Pick<Peer, 'name' | 'load'> & { readonly about: string; readonly standing: Standing };

function entrantsOf(form: Form): Entrant[] {
  const limit = limits[form];
  return [
    { name: 'keywright v2', about: `: ${OURS[form]}`, load: keywright, standing: { role: 'baseline' } },
    ...(limit ? [{ ...limit, about: `: ${limit.about}`, standing: { role: 'limit' as const } }] : []),
    ...peers
      .filter(({ forms }) => forms.includes(form))
      .map(({ name, version, about, load, level }) => {
        const standing: Standing = level === 'envelope' ? { role: 'peer', minRatio: 1 } : { role: 'peer' };
        return { name, about: ` ${version}: ${about}`, load, standing };
      }),
  ];
}

function aboutOf(form: Form): string {
  const what = form === 'object' ? 'values' : form;
  return `Encryption, decryption and both, of the same ${what} for everybody; what is decrypted is as a database would return it.
Calls follow each other: of an asynchronous library each is awaited before the next. A library that makes envelopes has a
budget, which is that keywright is faster; a cipher, which does less, has none.

${entrantsOf(form)
  .map(({ name, about }) => `- **${name}**${about}`)
  .join('\n')}`;
}

async function casesOf(form: Form): Promise<Case[]> {
  const cases = OPERATIONS.map((operation) =>
    PAYLOAD_SIZES.map(async (size) => ({
      name: `${operation}, ${size.name}`,
      bytes: size.bytes,
      place: { panel: operation, group: size.name },
      contenders: await contendersOf(form, operation, size),
    })),
  );
  return Promise.all(cases.flat());
}

async function contendersOf(form: Form, operation: Operation, { bytes }: Size): Promise<Contender[]> {
  const fixtures = new Fixtures(bytes);
  const payload = payloadOf(form, fixtures, bytes);
  const key = fixtures.bytes(32);
  return Promise.all(
    entrantsOf(form).map(async ({ name, load, standing }): Promise<Contender> => {
      const rows = new Rows(fixtures);
      const codec = (await load(key))[form] as Codec<unknown>;
      return Object.assign(await taskOf(operation, codec, payload, rows), { name, ...standing });
    }),
  );
}

function payloadOf(form: Form, fixtures: Fixtures, length: number): Payloads[Form] {
  if (form === 'object') return fixtures.credentials(length);
  return form === 'text' ? asRead(fixtures.token(length)) : fixtures.bytes(length);
}

/** Adds no promise where the codec has none. */
async function taskOf(
  operation: Operation,
  codec: Codec<unknown>,
  expected: unknown,
  rows: Rows,
): Promise<Pick<Contender, 'expected' | 'run' | 'restore'>> {
  if (operation === 'encrypt') {
    const restore = async (sealed: unknown) => comparable(await codec.open(sealed, rows.same()));
    return { expected, run: () => codec.seal(expected, rows.next()), restore };
  }
  if (operation === 'decrypt') {
    const sealed = asRead(await codec.seal(expected, rows.same()));
    return { expected, run: () => codec.open(sealed, rows.same()), restore: comparable };
  }
  const run = () => {
    const sealed = codec.seal(expected, rows.next());
    return sealed instanceof Promise
      ? sealed.then((settled) => codec.open(settled, rows.same()))
      : codec.open(sealed, rows.same());
  };
  return { expected, run, restore: comparable };
}

/** Bytes as a Buffer, which not every library returns. */
function comparable(result: unknown): unknown {
  return result instanceof Uint8Array ? Buffer.from(result) : result;
}

/** As it comes from a database: strings of one piece, where code that put them together may have left several. */
function asRead<T>(stored: T): T {
  return stored instanceof Uint8Array ? stored : (JSON.parse(JSON.stringify(stored)) as T);
}
