// Another process that saves: told over IPC how often, answers when it is done. Uses the built package.
import { createKeyring } from '@keywright/envelope';
import { createSecretStore } from '@keywright/secrets';
import createKnex from 'knex';

const { knexConfig, keys } = JSON.parse(process.argv[2] ?? '');
const knex = createKnex(knexConfig);
const store = createSecretStore({ knex, root: createKeyring({ keys, activeKid: 'v1' }), changeFeed: true });

process.on('message', (count: number) => {
  void save(count).then(() => process.send?.('done'));
});
process.on('disconnect', () => {
  void Promise.all([store.close(), knex.destroy()]).then(() => process.exit(0));
});
process.send?.('started');

async function save(count: number): Promise<void> {
  const tenant = store.tenant('shared', { actor: `process ${process.pid}` });
  for (let each = 0; each < count; each++) await tenant.save(`${process.pid}/${each}`, 'x');
}
