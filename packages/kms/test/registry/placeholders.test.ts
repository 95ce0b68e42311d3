// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what kms.json may hold
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { plainCopy } from '../../src/registry/plain.ts';
import { resolveReferences } from '../../src/registry/resolve.ts';
import { entryOf, load, MINIMAL, refusal, shown } from './support.ts';

/** One string of a file, resolved without validating the rest. */
async function resolvedAlone(text: string, env: Record<string, string>): Promise<unknown> {
  const { config } = await resolveReferences(plainCopy({ text }), env, new Map());
  return (config as { readonly text: unknown }).text;
}

const CANARY = 'canary-31c9aa';

describe('a placeholder', () => {
  it('is replaced in any string, several in one, with defaults', async () => {
    const env = { HOST: 'kms.example', PORT: '8200', USER: 'u', PIN: 'p' };
    expect(
      await entryOf(
        { url: 'https://${HOST}:${PORT}/${PATH_PREFIX:v1}', token: '${USER}:${PIN}', peers: ['a', '${USER}'] },
        env,
      ),
    ).toMatchObject({ url: 'https://kms.example:8200/v1', token: 'u:p', peers: ['a', 'u'] });
    expect(await entryOf({ token: '${T:https://a:1/?b={c}' })).toMatchObject({ token: 'https://a:1/?b={c' });
    expect(
      await entryOf({ labels: { a: '${T:}', b: '$$T', c: '$${USER}', d: '}{ $', e: 'x:env:Y' } }, env),
    ).toMatchObject({
      labels: { a: '', b: '$$T', c: '$u', d: '}{ $', e: 'x:env:Y' },
    });
  });

  it('is looked at once: what a variable or file holds is a value', async () => {
    const env = { A: '${B}', B: 'b', C: 'env:B', D: 'file:/etc/passwd', E: '$', F: '{B}' };
    const members = { token: '${A}', labels: { c: '${C}', d: 'env:D', e: '${E}${F}', f: '${X:env:B}' } };
    expect(await entryOf(members, env)).toMatchObject({
      token: '${B}',
      labels: { c: 'env:B', d: 'file:/etc/passwd', e: '${B}', f: 'env:B' },
    });
  });

  it.each([
    '${${X}}',
    '${X:${Y}}',
    '${X',
    'a${',
    '${}',
    '${:x}',
    '${1X}',
    '${X Y}',
    '${X.Y}',
    '${X-}',
    '${ X }',
    '${X${Y}}',
    '${é}',
    'env:',
    'env:A B',
    'env:${X}',
    'env:1',
    'file:',
    'file:relative',
    'file:../x',
    'file:${X}/y',
    'file:/run/${X}',
    'file:/x\0y',
    `\${${'X'.repeat(129)}}`,
  ])('that is malformed is refused by its path: %j', async (text) => {
    const error = await refusal(load({ providers: [{ ...MINIMAL, token: text }] }, { env: { X: 'x', Y: 'y' } }));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: '/providers/0/token' } });
  });

  it('of a variable that is unset or empty is refused by field and variable, unless it has a default', async () => {
    for (const env of [
      {},
      { VAULT_TOKEN: '' },
      { VAULT_TOKEN: undefined },
      Object.create({ VAULT_TOKEN: 'inherited' }),
    ]) {
      for (const token of ['${VAULT_TOKEN}', 'a ${VAULT_TOKEN} b', 'env:VAULT_TOKEN']) {
        const error = await refusal(load({ providers: [MINIMAL, { ...MINIMAL, id: 'b', token }] }, { env }));
        expect(error).toMatchObject({
          code: 'ERR_KMS_CONFIG_REFERENCE',
          context: { field: '/providers/1/token', variable: 'VAULT_TOKEN' },
        });
      }
      expect(await entryOf({ token: '${VAULT_TOKEN:none}' }, env)).toMatchObject({ token: 'none' });
    }
  });

  it('that fills a string may be a number or boolean, where the schema has no string', async () => {
    const env = { N: '5', T: 'true', F: 'false', S: '0' };
    const members = {
      retries: '${N}',
      strict: '${T}',
      slot: '${S}',
      auth: { method: 'role', role: '${N}', ttl: 'env:N' },
    };
    expect(await entryOf(members, env)).toMatchObject({
      retries: 5,
      strict: true,
      slot: '0',
      auth: { role: '5', ttl: 5 },
    });
    expect(await entryOf({ retries: '${R:3}', strict: '${F}' }, env)).toMatchObject({ retries: 3, strict: false });
  });

  it.each([
    ['retries', '1${N}'],
    ['retries', '${X:0x10}'],
    ['retries', '${X:1e1}'],
    ['retries', '${X: 1}'],
    ['retries', '${X:01}'],
    ['retries', '${X:1.5}'],
    ['retries', '${X:99}'],
    ['retries', '${X:-1}'],
    ['retries', '${X:Infinity}'],
    ['retries', '${X:true}'],
    ['strict', '${X:1}'],
    ['strict', '${X:TRUE}'],
    ['strict', '${X:}'],
  ])('converts nothing else: %s %s', async (name, text) => {
    const error = await refusal(load({ providers: [{ ...MINIMAL, [name]: text }] }, { env: { N: '5' } }));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG', context: { field: `/providers/0/${name}` } });
  });

  it('puts any value in any place exactly, whatever it looks like', async () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
    const value = fc.oneof(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.constantFrom('${X}', '}', '${', 'env:X', 'file:/x', '__proto__', '$&', '$1', "$'", '\\'),
    );
    const literal = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[${]|^(env|file):/g, ''));
    const parts = fc.array(fc.tuple(literal, name, value), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(parts, literal, async (given, end) => {
        const env = Object.fromEntries(given.map(([, variable, of]) => [variable, of]));
        const text = given.map(([before, variable]) => `${before}\${${variable}}`).join('') + end;
        fc.pre(!/^(env|file):/.test(text));
        const expected = given.map(([before, variable]) => before + env[variable]).join('') + end;
        expect(await resolvedAlone(text, env)).toBe(expected);
      }),
      { numRuns: 200 },
    );
  });

  it('never resolves a variable that no text of the file names', async () => {
    const unit = fc.constantFrom('$', '{', '}', ':', 'A', 'env:', 'file:', '${', '${A}', '${A:');
    await fc.assert(
      fc.asyncProperty(fc.string({ unit }), async (text) => {
        const outcome = await resolvedAlone(text, { A: CANARY }).catch((error: unknown) => error);
        if (outcome instanceof Error || !/\$\{A[}:]|^env:A$/.test(text)) expect(shown(outcome)).not.toContain(CANARY);
        if (!/\$\{|^env:|^file:/.test(text)) expect(outcome).toBe(text);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a file reference', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keywright-kms-'));
  });
  const file = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), content);
    return `file:${join(folder, name)}`;
  };

  it('is what the file holds, without the line break at its end', async () => {
    expect(await entryOf({ token: await file('a', 'secret\n') })).toMatchObject({ token: 'secret' });
    expect(await entryOf({ token: await file('b', 'secret\r\n') })).toMatchObject({ token: 'secret' });
    expect(await entryOf({ token: await file('c', ' ${X}\n\n') })).toMatchObject({ token: ' ${X}\n' });
    expect(await entryOf({ retries: await file('d', '7\n') })).toMatchObject({ retries: 7 });
    expect(await entryOf({ token: await file('e', 'x'.repeat(64 * 1024)) })).toMatchObject({
      token: 'x'.repeat(64 * 1024),
    });
    await symlink('a', join(folder, 'link')); // as Kubernetes mounts a secret
    expect(await entryOf({ token: `file:${join(folder, 'link')}` })).toMatchObject({ token: 'secret' });
  });

  it('to anything but a small text file is refused by its field', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK); // keeps what is written
    await writeFile(pipe, CANARY);
    const wrong = [
      await file('empty', '\n'),
      await file('large', CANARY.padEnd(64 * 1024 + 1, 'x')),
      await file('binary', Buffer.concat([Buffer.from(CANARY), Buffer.of(0xc3, 0x28)])),
      `file:${folder}`,
      `file:${pipe}`,
      `file:${join(folder, 'missing')}`,
      'file:/dev/zero',
      'file:/dev/urandom',
    ];
    for (const token of wrong) {
      const error = await refusal(load({ providers: [{ ...MINIMAL, token }] }));
      expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG_REFERENCE', context: { field: '/providers/0/token' } });
      expect(shown(error)).not.toContain(CANARY);
      expect(shown(error)).not.toContain(folder);
    }
    await reader.close();
  });
});
