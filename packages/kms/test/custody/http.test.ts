import { createKmsKeys, createKmsRegistry, httpProvider } from '@keywright/kms';
import { type RemoteKms, startRemoteKms } from '@keywright/testkit/kms';
import createKnex from 'knex';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sampleKey } from '../../src/conformance/sample-keys.ts';
import { type CustodyPlace, custodyPlace } from '../support/custody-search.ts';

const apiKey = 'custody-canary-of-an-api-key';

let server: RemoteKms;
let place: CustodyPlace;
beforeAll(async () => {
  server = await startRemoteKms({ auth: { kind: 'bearer', apiKey } });
  place = custodyPlace();
});
afterAll(async () => {
  place.remove();
  await server.stop();
});

it('a process that signs by HTTP holds no private key, nor do its rows, logs and errors', async () => {
  const options = {
    id: 'http',
    baseUrl: server.url,
    apiKey,
    canImport: true,
    algs: ['ES256', 'EdDSA', 'PS256'] as const,
  };
  // Taken over by another process than the one that is searched.
  const imported = sampleKey('ES256');
  const knex = createKnex({
    client: 'better-sqlite3',
    connection: { filename: place.database },
    useNullAsDefault: true,
  });
  const registry = createKmsRegistry({ providers: [httpProvider(options)] });
  const keys = createKmsKeys({ knex, registry });
  await keys.migrate();
  await keys.tenant('acme').import({ keyId: 'imported', alg: 'ES256', privateJwk: imported });
  await registry.close();
  await knex.destroy();

  const module = new URL('../../dist/index.js', import.meta.url).href;
  const subject = await place.start({
    module,
    factory: 'httpProvider',
    options,
    algs: options.algs,
    imported: 'imported',
  });
  expect(server.keys.names).toHaveLength(4);
  const known = server.keys.names.map((name) => server.keys.privateJwk(name));
  expect(known.map(({ d }) => d)).toContain(imported.d);
  expect(subject.strings).toBeGreaterThan(10_000);
  expect(subject.find(known as never)).toEqual([]);
});
