import { parseArgs } from 'node:util';
import createKnex from 'knex';
import { openProvider, placeAtHand } from './provider.ts';
import { signForTenants } from './sign.ts';

const { values } = parseArgs({ options: { database: { type: 'boolean', default: false } } });
const knex = createKnex({
  client: 'better-sqlite3',
  connection: { filename: ':memory:' },
  useNullAsDefault: true,
});
const { provider, close } = await openProvider(values.database ? 'database' : placeAtHand(), knex);
try {
  const { jws, jwks, verified, refusals } = await signForTenants(knex, provider);
  console.log(`provider  ${provider.type}`);
  console.log(`JWS       ${jws}`);
  console.log(`JWKS      ${JSON.stringify(jwks)}`);
  console.log(`verified  ${JSON.stringify(verified)}`);
  console.log(`refused   ${refusals.join(', ')}`);
} finally {
  await close();
  await knex.destroy();
}
