// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { createKeyring } from '@keywright/envelope';
import { createKmsRegistry, httpProviderType, type KmsProviderType } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { validatorOfDocument, validatorOfEntry } from '../../src/registry/config-schema.ts';
import { entryOf, load, MINIMAL, refusal, shown, thirdParty } from './support.ts';

const CANARY = 'canary-7d20b1';

/** Where the configuration of one provider with these members is refused. */
async function fieldOf(members: Record<string, unknown>, env: Record<string, string> = {}): Promise<unknown> {
  const error = await refusal(load({ providers: [{ ...MINIMAL, ...members }] }, { env }));
  expect(error.code).toMatch(/^ERR_KMS_CONFIG(_REFERENCE)?$/);
  expect(shown(error)).not.toContain(CANARY);
  return error.context.field;
}

describe('a configuration is refused by the path of what is wrong', () => {
  const other = { ...MINIMAL, id: 'other' };

  it.each<[string, unknown, string]>([
    ['an unknown member', { providers: [MINIMAL], provider: 'x' }, '/provider'],
    [
      'an unknown member of an entry',
      { providers: [MINIMAL, { ...other, vaultToken: CANARY }] },
      '/providers/1/vaultToken',
    ],
    [
      'an unknown member inside',
      { providers: [{ ...MINIMAL, auth: { method: 'role', role: 'r', x: 1 } }] },
      '/providers/0/auth/x',
    ],
    ['a member of another type', { providers: [{ ...MINIMAL, library: '/tmp/evil.so' }] }, '/providers/0/library'],
    ['an unknown type', { providers: [MINIMAL, { ...other, type: 'azure-kv' }] }, '/providers/1/type'],
    ['a type from the prototype', { providers: [{ ...MINIMAL, type: 'constructor' }] }, '/providers/0/type'],
    ['no type', { providers: [{ id: 'a' }] }, '/providers/0/type'],
    ['no id', { providers: [{ type: 'cloud', url: MINIMAL.url }] }, '/providers/0/id'],
    ['an empty id', { providers: [{ ...MINIMAL, id: '' }] }, '/providers/0/id'],
    ['an id that is a path', { providers: [{ ...MINIMAL, id: '../x' }] }, '/providers/0/id'],
    ['an id that is a placeholder', { providers: [{ ...MINIMAL, id: '${HOME}' }] }, '/providers/0/id'],
    ['a type that is a placeholder', { providers: [{ ...MINIMAL, type: '${TYPE:cloud}' }] }, '/providers/0/type'],
    ['a duplicate id', { providers: [MINIMAL, other, { ...MINIMAL }] }, '/providers/2/id'],
    ['an unknown default', { defaultProvider: 'nobody', providers: [MINIMAL] }, '/defaultProvider'],
    ['a default of another kind', { defaultProvider: 1, providers: [MINIMAL] }, '/defaultProvider'],
    ['no providers', {}, '/providers'],
    ['an empty list', { providers: [] }, '/providers'],
    ['providers by name', { providers: { main: MINIMAL } }, '/providers'],
    ['an entry that is text', { providers: [MINIMAL, 'db'] }, '/providers/1'],
    [
      '65 providers',
      { providers: Array.from({ length: 65 }, (_, index) => ({ ...MINIMAL, id: `p${index}` })) },
      '/providers',
    ],
    ['a missing member', { providers: [{ id: 'a', type: 'cloud' }] }, '/providers/0/url'],
    ['a member of another form', { providers: [{ ...MINIMAL, url: CANARY }] }, '/providers/0/url'],
    ['a number as text', { providers: [{ ...MINIMAL, retries: '3' }] }, '/providers/0/retries'],
    ['text as a boolean', { providers: [{ ...MINIMAL, strict: 'yes' }] }, '/providers/0/strict'],
    ['null', { providers: [{ ...MINIMAL, token: null }] }, '/providers/0/token'],
    ['a long description', { providers: [{ ...MINIMAL, description: 'x'.repeat(501) }] }, '/providers/0/description'],
    [
      'an alternative without its member',
      { providers: [{ ...MINIMAL, auth: { method: 'role' } }] },
      '/providers/0/auth/role',
    ],
    ['no known alternative', { providers: [{ ...MINIMAL, auth: { method: 'pin' } }] }, '/providers/0/auth/method'],
    [
      'nesting',
      { providers: [{ ...MINIMAL, free: JSON.parse(`${'{"a":'.repeat(20)}1${'}'.repeat(20)}`) }] },
      `#/providers/0/free${'/a'.repeat(13)}`,
    ],
  ])('%s', async (_, config, field) => {
    const error = await refusal(load(config));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field, expected: expect.stringMatching(/./) } });
    expect(shown(error)).not.toContain(CANARY);
  });

  it('says what is expected there', async () => {
    const expected = async (config: unknown) => (await refusal(load(config))).context.expected;
    expect(await expected({ providers: [{ ...MINIMAL, type: 'x' }] })).toMatch(/^one of .*cloud$/);
    expect(await expected({ providers: [{ ...MINIMAL, retries: 11 }] })).toBe('must be <= 10');
    expect(await expected({ providers: [{ ...MINIMAL, region: 'mars' }] })).toBe('one of eu, us');
    expect(await expected({ providers: [{ ...MINIMAL, url: 1 }] })).toBe('string');
  });

  it('says which members exclude or need each other', async () => {
    const schema = {
      type: 'object',
      properties: {
        slot: { type: 'integer' },
        serial: { type: 'string' },
        pin: { type: 'string' },
        file: { type: 'string' },
      },
      oneOf: [{ required: ['slot'] }, { required: ['serial'] }],
      anyOf: [{ required: ['pin'] }, { required: ['file'] }],
      dependentRequired: { file: ['serial'] },
    } as const;
    const expected = async (members: object) => {
      const config = { providers: [{ id: 'main', type: 'token', ...members }] };
      const { context } = await refusal(load(config, { types: [{ ...thirdParty('token'), schema }] }));
      return [context.field, context.expected];
    };
    expect(await expected({ pin: 'p' })).toEqual(['/providers/0', 'exactly one of slot, serial']);
    expect(await expected({ pin: 'p', slot: 1, serial: 's' })).toEqual(['/providers/0', 'exactly one of slot, serial']);
    expect(await expected({ slot: 1 })).toEqual(['/providers/0', 'at least one of pin, file']);
    expect(await expected({ slot: 1, file: 'f' })).toEqual(['/providers/0/serial', 'a member beside file']);
  });

  it('a name that could be a value is not repeated', async () => {
    expect(await fieldOf({ [`${CANARY} ${'x'.repeat(30)}`]: 1 })).toBe('/providers/0/*');
    expect(await fieldOf({ labels: { [`${CANARY}/etc`]: 1 } })).toBe('/providers/0/labels/*');
  });
});

describe('prototypes', () => {
  it.each(['__proto__', 'constructor', 'toString'])('a member %s is unknown as any other', async (name) => {
    const entry = JSON.stringify(MINIMAL).replace('{', `{"${name}":{"url":"https://evil.example"},`);
    const error = await refusal(load(`{"providers":[${entry}]}`));
    expect(error.context.field).toBe(`/providers/0/${name}`);
    const root = await refusal(load(`{"providers":[${JSON.stringify(MINIMAL)}],"${name}":{"x":1}}`));
    expect(root.context.field).toBe(`/${name}`);
    expect(({} as Record<string, unknown>).url).toBeUndefined();
  });

  it('a member that the schema leaves open may have any name but __proto__', async () => {
    const open = JSON.stringify({ ...MINIMAL, labels: { x: 1 } });
    const named = (name: string) => load(`{"providers":[${open.replace('"x":1', `"${name}":"1"`)}]}`);
    await named('constructor');
    expect((await refusal(named('__proto__'))).context.field).toBe('/providers/0/labels/__proto__');
  });

  it.each(['__proto__', 'constructor', 'hasOwnProperty'])('a variable %s is not set', async (variable) => {
    const error = await refusal(load({ providers: [{ ...MINIMAL, token: `\${${variable}}` }] }));
    expect(error).toMatchObject({
      code: 'ERR_KMS_CONFIG_REFERENCE',
      context: { field: '/providers/0/token', variable },
    });
  });
});

describe('text of a tenant', () => {
  const texts = [
    '/usr/lib/evil.so',
    '../../etc/passwd',
    'https://evil.example',
    '${HOME}',
    'env:HOME',
    'file:/etc/passwd',
    'cloud',
    '__proto__',
    '',
    `\n${CANARY}`,
  ];
  const fields = ['library', 'url', 'vaultUrl', 'id', 'type', 'description', 'token', 'types', 'config', '$schema'];

  it.each(fields)('configures nothing as %s', async (field) => {
    const registry = await load({ providers: [MINIMAL] }, { env: { HOME: CANARY } });
    for (const text of texts) {
      const error = await refusal(() => registry.forTenant({ [field]: text } as never));
      expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: `/${field}` } });
      expect(shown(error)).not.toContain(CANARY);
    }
  });

  it.each(texts)('chooses no provider that is not configured: %j', async (text) => {
    const registry = await load({ providers: [MINIMAL] }, { env: { HOME: 'main' } });
    const field = async (overlay: unknown) => (await refusal(() => registry.forTenant(overlay as never))).context.field;
    expect(await field({ defaultProvider: text })).toBe('/defaultProvider');
    expect(await field({ providers: ['main', text] })).toBe('/providers/1');
    expect(await field({ providers: [{ id: text, type: 'cloud' }] })).toBe('/providers/0');
    expect(await field({ providers: text })).toBe('/providers');
    expect(await field(text)).toBe('');
  });

  it('from a hostile document is refused without touching anything', async () => {
    const registry = await load({ providers: [MINIMAL] });
    const documents = ['{"__proto__":{"providers":["main"]}}', '{"providers":["main"],"constructor":{}}', '[]', '1'];
    for (const document of documents) {
      expect(await refusal(() => registry.forTenant(JSON.parse(document)))).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    }
    const inherited: object = Object.create({ providers: ['main'] });
    for (const overlay of [new Map(), Promise.resolve({}), new Date(), new URL('https://x'), inherited, () => ({})]) {
      expect(await refusal(() => registry.forTenant(overlay as never))).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    }
    expect(await refusal(() => registry.forTenant(null as never))).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    // As YAML's aliases make it: a list of lists, of 9^16 strings.
    let bomb: unknown = 'main';
    for (let depth = 0; depth < 16; depth++) bomb = Array.from({ length: 9 }, () => bomb);
    expect((await refusal(() => registry.forTenant({ providers: bomb } as never))).context.field).toBe('/providers/0');
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error(CANARY);
        },
      },
    );
    const error = await refusal(() => registry.forTenant(trap));
    expect(error.code).toBe('ERR_KMS_CONFIG');
    expect(shown(error)).not.toContain(CANARY);
  });

  it('in every field of an entry is a value, checked as any other, and never resolved', async () => {
    for (const text of texts) {
      const config = { providers: [{ ...MINIMAL, token: text, peers: [text] }] };
      const type = thirdParty();
      if (text === '') {
        expect(await refusal(() => createKmsRegistry({ config, types: [type] }))).toMatchObject({
          code: 'ERR_KMS_CONFIG',
        });
      } else {
        createKmsRegistry({ config, types: [type] });
        expect(type.entries[0]).toMatchObject({ token: text, peers: [text] });
      }
      const url = await refusal(() =>
        createKmsRegistry({ config: { providers: [{ ...MINIMAL, url: `x${text}` }] }, types: [thirdParty()] }),
      );
      expect(url.context.field).toBe('/providers/0/url');
    }
  });
});

describe('types', () => {
  const register = (...types: KmsProviderType[]) =>
    refusal(() => createKmsRegistry({ config: { providers: [MINIMAL] }, types }));

  it('have a name each, which built-in types have too', async () => {
    const taken = { code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument: 'types.1.type' } };
    expect(await register(thirdParty(), thirdParty())).toMatchObject(taken);
    for (const name of ['db', 'vault', 'http']) {
      const { context } = await register(thirdParty(name));
      expect(context).toMatchObject({ argument: 'types.0.type' });
    }
    for (const name of ['', 'Cloud', '../x', '__proto__', '${X}', 1]) {
      expect((await register(thirdParty(name as string))).context.argument).toBe('types.0.type');
    }
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['text', '{}'],
    ['no object', { type: 'string', properties: {} }],
    ['without properties', { type: 'object' }],
    ['no JSON Schema', { type: 'object', properties: { a: { type: 'sting' } } }],
    ['of unknown keywords', { type: 'object', properties: { a: { type: 'string', secret: true } } }],
    ['with a bad pattern', { type: 'object', properties: { a: { type: 'string', pattern: '(' } } }],
    ['with a reference', { type: 'object', properties: { a: { $ref: 'https://evil.example' } } }],
    [
      'with a reference inside',
      { type: 'object', properties: { a: { $ref: '#/properties/b' }, b: { type: 'string' } } },
    ],
    ['that takes the id over', { type: 'object', properties: { id: { type: 'string' } } }],
    [
      'that holds itself',
      (() => {
        const schema: Record<string, unknown> = { type: 'object', properties: {} };
        schema.not = schema;
        return schema;
      })(),
    ],
    ['with a function', { type: 'object', properties: { a: () => true } }],
  ])('with a schema that is %s are refused', async (_, schema) => {
    const error = await register({ ...thirdParty(), schema } as KmsProviderType);
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument: 'types.0.schema' } });
  });

  it('that make something else than the provider asked for are refused by the entry', async () => {
    const make = (create: unknown) => register({ ...thirdParty(), create } as KmsProviderType);
    const type = thirdParty();
    const other = type.create({ ...MINIMAL, id: 'other' }, {});
    for (const create of [() => undefined, () => ({}), () => other, () => Promise.resolve(other)]) {
      expect(await make(create)).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: '/providers/0' } });
    }
    const thrown = await make(() => {
      throw new Error(CANARY);
    });
    expect(thrown).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: '/providers/0' } });
    expect(shown(thrown)).not.toContain(CANARY);
    const ofAnotherPackage = await make(() => createKeyring({ keys: {}, activeKid: 'v1' }));
    expect(ofAnotherPackage).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: '/providers/0' } });
  });
});

it('what was refused is not kept by validators, which stay', async () => {
  await refusal(load({ providers: [], surplus: CANARY }));
  await refusal(load({ providers: [{ id: 'a', type: 'http', baseUrl: 1, apiKey: CANARY }] }));
  expect([validatorOfDocument().errors, validatorOfEntry(httpProviderType.schema).errors]).toEqual([null, null]);
});

it('a good entry reaches its type frozen, with own members only', async () => {
  const entry = await entryOf({ auth: { method: 'token', secret: 's' }, peers: ['a'] });
  expect(entry).toEqual({ ...MINIMAL, auth: { method: 'token', secret: 's' }, peers: ['a'] });
  expect([entry, entry.auth, entry.peers].every(Object.isFrozen)).toBe(true);
});
