import { SIGN_ALGS } from '@keywright/kms';
import { kmsConformance } from '@keywright/kms/conformance';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex from 'knex';
import { dumped, openDbFixture } from './fixture.ts';

const capabilities = {
  algs: Object.fromEntries(SIGN_ALGS.map((alg) => [alg, { create: true, import: true }])),
  defaultAlg: 'ES256',
  deleteKey: 'immediate',
  listKeys: true,
  exportKey: true,
  wrapKey: false,
} as const;

describeEachEngine('software keys', (engine) => {
  kmsConformance('db', {
    capabilities,
    async start() {
      const fixture = await openDbFixture(engine);
      const { knex, provider } = fixture;
      const logged: unknown[] = [];
      const log = (message: unknown): void => void logged.push(message);
      const down = createKnex({
        client: 'pg',
        connection: 'postgres://nobody@127.0.0.1:9/none',
        log: { debug: log, warn: log, error: log, deprecate: log },
      });
      return {
        provider,
        backendPublicKey: async ({ tenantId, externalId }) => {
          const row = await knex('kms_software_keys').where({ tenant_id: tenantId, external_id: externalId }).first();
          return typeof row.public_jwk === 'string' ? JSON.parse(row.public_jwk) : row.public_jwk;
        },
        backendCalls: fixture.statements,
        atRest: () => dumped(knex),
        logged: () => JSON.stringify(logged),
        unreachable: () => fixture.open({ id: 'down', knex: down }),
        async dispose() {
          await fixture.close();
          await down.destroy();
        },
      };
    },
  });
});
