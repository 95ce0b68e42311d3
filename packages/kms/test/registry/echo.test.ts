// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { createKmsRegistry } from '@keywright/kms';
import { expect, it } from 'vitest';
import { load, MINIMAL, methodsOf, refusal, shown, thirdParty } from './support.ts';

const SECRETS = Array.from({ length: 9 }, (_, index) => `canary-${index}-${'x7q'.repeat(index + 1)}`);
const [
  literal = '',
  byVariable = '',
  byFile = '',
  byDefault = '',
  inText = '',
  nested = '',
  free = '',
  inUrl = '',
  asNumber = '',
] = SECRETS.map((secret, index) => (index === 8 ? '8' : secret));

async function planted() {
  const file = join(await mkdtemp(join(tmpdir(), 'keywright-kms-')), 'token');
  await writeFile(file, byFile);
  const config = {
    defaultProvider: 'main',
    providers: [
      {
        ...MINIMAL,
        token: literal,
        description: '${A}',
        peers: ['a', `file:${file}`, 'env:B', `\${UNSET:${byDefault}}`],
      },
      {
        ...MINIMAL,
        id: 'other',
        url: 'https://${C}/${C}',
        token: '${A}',
        retries: '${N}',
        region: '${R:eu}',
        auth: { method: 'token', secret: nested },
        labels: { owner: 'ops', where: 'Room ${C}' },
        free: { anything: free, deep: [free] },
      },
      { ...MINIMAL, id: 'third', peers: [`https://user:${inUrl}@host`, `pkcs11:token=a?pin-value=${inUrl}`] },
    ],
  };
  return { config, file, env: { A: byVariable, B: byVariable, C: inText, N: asNumber } };
}

it('echoes the configuration with every secret left out, and references as they were written', async () => {
  const { config, file, env } = await planted();
  const type = thirdParty();
  const registry = await load(config, { env, types: [type] });
  const redacted = '[redacted]';
  expect(registry.echo()).toEqual({
    defaultProvider: 'main',
    providers: [
      { ...MINIMAL, token: redacted, description: '${A}', peers: ['a', `file:${file}`, 'env:B', '${UNSET:…}'] },
      {
        ...MINIMAL,
        id: 'other',
        url: 'https://${C}/${C}',
        token: redacted,
        retries: '${N}',
        region: '${R:…}',
        auth: { method: 'token', secret: redacted },
        labels: { owner: 'ops', where: 'Room ${C}' },
        free: { anything: redacted, deep: redacted },
      },
      { ...MINIMAL, id: 'third', peers: [redacted, redacted] },
    ],
  });
  // The providers themselves got the values.
  expect(type.entries[0]).toMatchObject({
    token: literal,
    description: byVariable,
    peers: ['a', byFile, byVariable, byDefault],
  });
  expect(type.entries[1]).toMatchObject({
    token: byVariable,
    retries: 8,
    auth: { secret: nested },
    free: { deep: [free] },
  });
});

it('shows no planted secret in echo, description, health, inspection, JSON or errors', async () => {
  const { config, env } = await planted();
  const registry = await load(config, { env });
  const view = registry.forTenant({ providers: ['main'] });
  const wrong = [
    load({ ...config, surplus: literal }, { env }),
    load({ providers: [...config.providers, config.providers[0]] }, { env }),
    load({ providers: [{ ...config.providers[1], token: [byVariable] }] }, { env }),
    load({ providers: [{ ...config.providers[1], region: '${A}', url: '${A}' }] }, { env }),
    load({ providers: [{ ...config.providers[1], retries: '${A}' }] }, { env }),
    load({ providers: [{ ...config.providers[1], auth: { method: '${A}', secret: nested } }] }, { env }),
    load({ providers: [{ ...config.providers[0], token: '${B' }] }, { env }),
    load({ providers: [{ ...config.providers[0], strict: 'env:B' }] }, { env }),
    load({ providers: [{ ...config.providers[0], id: literal.repeat(9) }] }, { env }),
    load(`{"providers": [{"token": "${literal}"`, { env }),
    load({ ...config, defaultProvider: '${A}' }, { env }),
  ].map((call) => refusal(call));
  const seen = [
    registry.echo(),
    registry.describe(),
    view.describe(),
    await registry.health(),
    registry,
    view,
    { registry, view },
    registry.providers,
    ...(await Promise.all(wrong)),
  ]
    .map(shown)
    .join('\n');
  for (const secret of SECRETS.slice(0, 8)) expect(seen).not.toContain(secret);
  expect(seen).toContain('[redacted]');
});

it('shows no password or private key beside a placeholder, or in a member that is not marked as secret', async () => {
  const pem = `-----BEGIN EC PRIVATE KEY-----\n${literal}\n-----END EC PRIVATE KEY-----`;
  const urls = { url: `https://user:${literal}@\${HOST}`, description: `x://${literal}@\${HOST}` };
  const uri = `pkcs11:token=\${HOST}?pin-value=${literal}`;
  const registry = await load(
    { providers: [{ ...MINIMAL, ...urls, peers: [uri, pem], labels: { host: 'https://${HOST}' } }] },
    { env: { HOST: 'host' } },
  );
  expect(shown([registry, registry.describe()])).not.toContain(literal);
  expect(registry.echo().providers[0]).toMatchObject({ url: '[redacted]', labels: { host: 'https://${HOST}' } });
});

it('is what JSON and inspection of the registry show', async () => {
  const { config, env } = await planted();
  const registry = await load(config, { env });
  expect(JSON.parse(JSON.stringify(registry))).toEqual(registry.echo());
  expect(inspect(registry, { depth: 9 })).toBe(inspect(registry.echo(), { depth: 9 }));
  expect(Object.isFrozen(registry.echo()) && registry.echo().providers.every(Object.isFrozen)).toBe(true);
});

it('shows of providers that the host made their ids and types', () => {
  const leaky = { ...methodsOf(thirdParty().create(MINIMAL, {})), token: literal };
  const registry = createKmsRegistry({ providers: [leaky] });
  expect(shown([registry, { registry }])).not.toContain(literal);
});
