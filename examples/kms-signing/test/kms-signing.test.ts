import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { softHsmLibrary } from '@keywright/testkit';
import { compactVerify, createLocalJWKSet } from 'jose';
import createKnex from 'knex';
import { describe, expect, it } from 'vitest';
import { openProvider, type Place } from '../src/provider.ts';
import { signForTenants } from '../src/sign.ts';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const places: readonly Place[] = softHsmLibrary() === undefined ? ['database'] : ['database', 'hsm'];

describe.each(places)('the signing example with keys in the %s', (place) => {
  it('signs what jose verifies, and refuses the rest', async () => {
    const knex = createKnex({
      client: 'better-sqlite3',
      connection: { filename: ':memory:' },
      useNullAsDefault: true,
    });
    const { provider, close } = await openProvider(place, knex);
    try {
      const signed = await signForTenants(knex, provider);
      expect(signed.provider).toBe(place === 'hsm' ? 'pkcs11' : 'db');
      expect(signed.verified).toEqual({ sub: 'acme', balance: 42 });
      const { protectedHeader } = await compactVerify(signed.jws, createLocalJWKSet(signed.jwks));
      expect(protectedHeader).toEqual({ alg: 'ES256', kid: 'statements', typ: 'JWT' });
      expect(JSON.stringify(signed.jwks)).not.toContain('"d"');
      expect(signed.refusals).toEqual([
        'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
        'ERR_KMS_INVALID_ARGUMENT',
        'ERR_KMS_KEY_NOT_FOUND',
      ]);
    } finally {
      await close();
      await knex.destroy();
    }
  });

  it('is a command that prints a JWS', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...(place === 'hsm' ? [] : ['--database'])]);
    const { jws, jwks } = /JWS +(?<jws>\S+)\nJWKS +(?<jwks>.+)/.exec(stdout)?.groups ?? {};
    const { payload } = await compactVerify(jws ?? '', createLocalJWKSet(JSON.parse(jwks ?? '')));
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ sub: 'acme', balance: 42 });
  });
});
