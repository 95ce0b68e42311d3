// A process that seals the audit log over and over, and may be killed. Uses the built package.
import { createKeyring } from '@keywright/envelope';
import { createSecretStore } from '@keywright/secrets';
import { createEd25519Signer } from '@keywright/secrets/audit';
import createKnex, { type Knex } from 'knex';

export interface SealWorkerSetup {
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly signer: { readonly name: string; readonly privateKey: string };
}

const { url, keys, signer } = JSON.parse(process.argv[2] ?? '') as SealWorkerSetup;
const config: Knex.Config = url.startsWith('file:')
  ? { client: 'better-sqlite3', connection: { filename: new URL(url).pathname }, useNullAsDefault: true }
  : { client: 'pg', connection: url };
const store = createSecretStore({
  knex: createKnex(config),
  root: createKeyring({ keys, activeKid: 'v1' }),
  audit: { signer: createEd25519Signer(signer) },
});

process.on('disconnect', () => process.exit(1));
await store.ready();
for (;;) {
  const { sealed } = await store.audit.seal();
  if (sealed > 0) process.send?.(sealed);
}
