import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { verifyConsistency } from '@keywright/secrets/audit';
import { describeEachEngine } from '@keywright/testkit/engines';
import { expect, it } from 'vitest';
import type { SealWorkerSetup } from '../workers/seal-worker.ts';
import { act, another, openSealed, SIGNING, sealedRows, VERIFIER_KEY } from './support.ts';

const ROUNDS = 4;
const script = fileURLToPath(new URL('../workers/seal-worker.ts', import.meta.url));

describeEachEngine('sealing that is killed', (engine) => {
  it('is gone on with by the next process, whatever it was at', { timeout: 30_000 }, async () => {
    const fixture = await openSealed(engine);
    const { name } = SIGNING.signer;
    const setup: SealWorkerSetup = {
      url: fixture.url,
      keys: fixture.keys,
      signer: { name, privateKey: SIGNING.privateKey },
    };
    try {
      await fixture.store.ready();
      let earlier = (await fixture.store.audit.seal()).checkpoint;
      for (let round = 0; round < ROUNDS; round++) {
        const child = fork(script, [JSON.stringify(setup)]);
        const exited = once(child, 'exit');
        const begun = once(child, 'message');
        const writing = act(fixture.store, 'acme', 120);
        await begun;
        await sleep(Math.random() * 60);
        child.kill('SIGKILL');
        await Promise.all([exited, writing]);
        // its lease would run out by itself, a minute later
        await fixture.knex('secret_leases').update({ expires_at: new Date(0) });
        const store = another(fixture);
        expect(await store.audit.verify({ checkpoint: earlier?.note })).toMatchObject({ intact: true });
        const { checkpoint } = await store.audit.seal();
        const proof = await store.audit.consistency(earlier?.treeSize ?? 0, checkpoint?.treeSize ?? 0);
        const notes = { older: earlier?.note ?? '', newer: checkpoint?.note ?? '' };
        expect(verifyConsistency(proof, notes, VERIFIER_KEY)).toMatchObject({ valid: true });
        earlier = checkpoint;
      }
      expect(await another(fixture).audit.verify()).toMatchObject({ intact: true, unsealed: 0 });
      const rows = await sealedRows(fixture.knex);
      expect(rows.filter(({ tenant_id: tenant }) => tenant === 'acme')).toHaveLength(ROUNDS * 120);
      expect(rows.map(({ leaf_index: leaf }) => leaf)).toEqual(rows.map((_, index) => index));
    } finally {
      await fixture.close();
    }
  });
});
