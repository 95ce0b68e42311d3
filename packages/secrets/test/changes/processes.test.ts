import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describeEachEngine } from '@keywright/testkit/engines';
import { expect, it } from 'vitest';
import { openFixture } from '../support.ts';
import { takeChanges } from './support.ts';

const WRITERS = 2;
const SAVES = 40;

describeEachEngine('changes of other processes', (engine) => {
  it('are told once each, to every watch', async () => {
    const fixture = await openFixture(engine, { changeFeed: true });
    await fixture.store.ready();
    const { connection, client, useNullAsDefault } = fixture.knexConfig;
    const setup = JSON.stringify({ knexConfig: { client, connection, useNullAsDefault }, keys: fixture.keys });
    const script = fileURLToPath(new URL('./writer.ts', import.meta.url));
    const writers = Array.from({ length: WRITERS }, () => fork(script, [setup]));
    try {
      await Promise.all(writers.map((writer) => once(writer, 'message')));
      const watches = [fixture.store.watch({ pollMs: 10 }), fixture.store.watch({ pollMs: 50, tenantId: 'shared' })];
      await Promise.all(watches.map((watch) => watch.start()));
      for (const writer of writers) writer.send(SAVES);
      const expected = writers.flatMap(({ pid }) => Array.from({ length: SAVES }, (_, each) => `${pid}/${each}`));
      for (const told of await Promise.all(watches.map((watch) => takeChanges(watch, WRITERS * SAVES)))) {
        expect(told.map(({ name }) => name).toSorted()).toEqual(expected.toSorted());
      }
    } finally {
      for (const writer of writers) {
        const exited = once(writer, 'exit');
        writer.disconnect();
        await exited;
      }
      await fixture.close();
    }
  });
});
