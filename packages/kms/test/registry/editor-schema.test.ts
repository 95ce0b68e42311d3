// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { readFileSync } from 'node:fs';
import { type KmsProviderType, kmsJsonSchema } from '@keywright/kms';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { BUILT_IN_TYPES, type ProviderTypes, registerTypes } from '../../src/registry/types.ts';
import { MINIMAL, thirdParty } from './support.ts';

type Members = Readonly<
  Record<string, { readonly type?: string; readonly properties?: Members; readonly items?: object }>
>;
interface Definition {
  readonly properties: Members;
  readonly required?: readonly string[];
}

const published = JSON.parse(readFileSync(new URL('../../kms.schema.json', import.meta.url), 'utf8')) as {
  readonly $defs: Readonly<Record<string, Definition>>;
};
// Without our options: as any editor would read it.
const fits = new Ajv2020({ strict: false }).compile(published);
const accepts = (...providers: object[]): boolean => fits({ providers });

/** Entries that are valid apart from the member that is looked at. */
const VALID: Readonly<Record<string, object>> = {
  db: {},
  vault: { vaultUrl: 'https://vault.example', roleId: 'r', secretId: 's', role: 'r' },
  'aws-kms': { region: 'eu-central-1', accessKeyId: 'a', secretAccessKey: 's' },
  pkcs11: { library: '/usr/lib/softhsm/libsofthsm2.so', slot: 0, pin: '1' },
  http: { baseUrl: 'https://kms.example' },
};

describe('kms.schema.json', () => {
  it('has the types of all our packages, and accepts what the prior system documents', () => {
    expect(Object.keys(published.$defs)).toEqual(Object.keys(VALID));
    const config = {
      $schema: './node_modules/@keywright/kms/kms.schema.json',
      defaultProvider: 'db',
      providers: [
        { id: 'db', type: 'db', description: 'Default database provider' },
        { id: 'vault', type: 'vault', vaultUrl: 'http://localhost:8200', vaultToken: '${VAULT_TOKEN:default}' },
        { id: 'aws', type: 'aws-kms', region: '${AWS_REGION}', accessKeyId: '${ID}', secretAccessKey: 'env:KEY' },
        { id: 'hsm', type: 'pkcs11', library: '${LIB}', slot: 'token', pin: '${USER}:${PASSWORD}', readOnly: false },
        { id: 'remote', type: 'http', baseUrl: '${KMS_URL}', apiKey: 'file:/run/key', canImport: '${IMPORT:true}' },
      ],
    };
    expect(fits(config) || fits.errors).toBe(true);
  });

  it.each(['kms', 'kms-aws', 'kms-pkcs11'])('accepts what the README of %s shows', (name) => {
    const readme = readFileSync(new URL(`../../../${name}/README.md`, import.meta.url), 'utf8');
    const samples = [...readme.matchAll(/^```json\n(.*?)^```/gms)].map(([, text = '']) => JSON.parse(text) as object);
    const configs = samples.filter((sample) => 'providers' in sample || 'type' in sample);
    expect(configs.length).toBeGreaterThan(0);
    for (const config of configs) {
      expect([config, ('providers' in config ? fits(config) : accepts(config)) || fits.errors]).toEqual([config, true]);
    }
  });

  it('accepts a placeholder and a reference in every member of every type', () => {
    const written = ['${NAME}', '${NAME:default}', 'env:NAME', 'file:/run/secrets/name'];
    const filled = (member: Members[string], text: string): unknown => {
      if (member.type === 'array') return [text];
      if (member.type !== 'object') return text;
      return Object.fromEntries(
        Object.entries(member.properties ?? { any: {} }).map(([name, of]) => [name, filled(of, text)]),
      );
    };
    let looked = 0;
    for (const [type, { properties }] of Object.entries(published.$defs)) {
      for (const [name, member] of Object.entries(properties)) {
        if (name === 'id' || name === 'type') continue;
        const others = type === 'pkcs11' && ['slotId', 'serial', 'uri'].includes(name) ? { slot: undefined } : {};
        for (const text of written) {
          const entry = JSON.parse(
            JSON.stringify({ id: 'a', type, ...VALID[type], ...others, [name]: filled(member, text) }),
          );
          expect([type, name, text, accepts(entry) || fits.errors]).toEqual([type, name, text, true]);
          looked++;
        }
      }
    }
    expect(looked).toBeGreaterThan(200);
  });

  it.each<[string, object]>([
    ['an unknown member', { id: 'a', type: 'db', vaultToken: 'x' }],
    ['an unknown type', { id: 'a', type: 'azure-kv' }],
    ['a placeholder as id', { id: '${ID}', type: 'db' }],
    ['a placeholder as type', { id: 'a', type: '${TYPE}' }],
    ['no id', { type: 'db' }],
    ['a missing member', { id: 'a', type: 'http' }],
    ['a number in words', { id: 'a', type: 'db', cachedKeys: 'many' }],
    ['a number with a placeholder inside', { id: 'a', type: 'db', cachedKeys: '1${N}' }],
    ['a nested placeholder', { id: 'a', type: 'db', cachedKeys: '${${N}}' }],
    ['a number out of range', { id: 'a', type: 'db', cachedKeys: 0 }],
  ])('refuses %s', (_, entry) => {
    expect(accepts(entry)).toBe(false);
  });

  it('is made for other types the same way', () => {
    const schema = kmsJsonSchema([...BUILT_IN_TYPES, thirdParty()]);
    const accept = new Ajv2020({ strict: false }).compile(schema);
    const entry = (members: object): boolean => accept({ providers: [{ ...MINIMAL, ...members }] }) as boolean;
    expect(entry({ url: '${URL}', region: '${R}', peers: ['${P}'], labels: { a: 'env:A' }, retries: 'env:N' })).toBe(
      true,
    );
    expect(entry({ auth: { method: '${METHOD}', secret: '${SECRET}' } })).toBe(true);
    expect(entry({ auth: { method: 'role', role: 'r', ttl: '${TTL}' } })).toBe(true);
    expect(entry({ auth: { method: 'role', secret: 's' } })).toBe(false);
    expect(entry({ region: 'mars' })).toBe(false);
  });
});

it('the schemas of built-in types pass what a third party’s has to pass', () => {
  for (const type of BUILT_IN_TYPES) {
    const renamed: KmsProviderType = { ...type, type: `x-${type.type}` };
    const types: ProviderTypes = registerTypes([renamed]);
    expect(types.get(renamed.type)?.schema).toEqual(type.schema);
  }
});
