import { setTimeout } from 'node:timers/promises';
import { backfill } from '@keywright/envelope/migrate';
import { describeEachEngine } from '@keywright/testkit/engines';
import createKnex, { type Knex } from 'knex';
import { expect, it } from 'vitest';
import { codecOf, createConnections, openDatabase, plainText, sourceOf } from './support.ts';

const ROWS = 600;
const WRITERS = 4;

/** What a writer did to a row, in the order of its commits. */
type History = Map<number, string[]>;

describeEachEngine('beside live writers', (engine) => {
  it('loses no update: every row ends with the last value that a writer committed to it', async () => {
    const fixture = await openDatabase(engine);
    const pool = createKnex(fixture.knex.client.config);
    try {
      await createConnections(fixture.knex, ROWS);
      const history: History = new Map();
      const running = { on: true };
      // Half of them are of before, and write in the clear. A row belongs to one writer, so its history has an order.
      const writers = Array.from({ length: WRITERS }, (_, writer) => write(pool, history, running, writer));
      const totals = { converted: 0, changed: 0 };
      const codec = codecOf({ legacy: 'allow' });
      for (let pass = 1; pass <= 6; pass++) {
        while (written(history) < pass * 20) await setTimeout(1);
        const { converted, changed, failed } = await backfill({
          codec,
          source: sourceOf(fixture.knex),
          from: { plaintext: true },
          batchRows: 150,
        });
        expect(failed).toBe(0);
        totals.converted += converted;
        totals.changed += changed;
      }
      running.on = false;
      await Promise.all(writers);
      const last = await backfill({ codec, source: sourceOf(fixture.knex), from: { plaintext: true } });
      expect(last).toMatchObject({ changed: 0, failed: 0, done: true });

      const strict = codecOf();
      const rows = (await fixture.knex('connections')) as { id: number; credentials: string; writes: number }[];
      expect(rows.length).toBeGreaterThanOrEqual(ROWS);
      for (const { id, credentials, writes } of rows) {
        const values = history.get(id) ?? [];
        expect(writes).toBe(values.length);
        expect(strict.decode(credentials, { key: { id } })).toEqual({
          apiKey: values.at(-1) ?? JSON.parse(plainText(id)).apiKey,
        });
      }
      expect(totals.converted + last.converted).toBeGreaterThanOrEqual(ROWS);
    } finally {
      await pool.destroy();
      await fixture.close();
    }
  });
});

function written(history: History): number {
  return [...history.values()].reduce((sum, values) => sum + values.length, 0);
}

async function write(knex: Knex, history: History, running: { readonly on: boolean }, writer: number): Promise<void> {
  const codec = codecOf(writer % 2 === 0 ? { legacy: 'allow', write: 'plaintext' } : { legacy: 'allow' });
  for (let step = 1; running.on; step++) {
    const id = 1 + writer + WRITERS * ((step * 7919) % (ROWS / WRITERS));
    const value = `written ${writer}/${step}`;
    const stored = codec.encode({ apiKey: value }, { key: { id } }) as string;
    const updated = await knex('connections')
      .where({ id })
      .update({ credentials: stored, writes: knex.raw('writes + 1') });
    expect(updated).toBe(1);
    history.set(id, [...(history.get(id) ?? []), value]);
    const added = ROWS + writer + WRITERS * step;
    if (step % 10 === 0) await knex('connections').insert({ id: added, credentials: plainText(added) });
    await new Promise((resolve) => setImmediate(resolve));
  }
}
