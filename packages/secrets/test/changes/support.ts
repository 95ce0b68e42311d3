import type { ChangeWatch, SecretChange, WatchEvent } from '@keywright/secrets';
import type { Knex } from 'knex';

/** The next events of a watch; the watch goes on. */
export async function take(watch: ChangeWatch, count: number): Promise<readonly WatchEvent[]> {
  const events: WatchEvent[] = [];
  const iterator = watch[Symbol.asyncIterator]();
  while (events.length < count) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    events.push(value);
  }
  return events;
}

export async function takeChanges(watch: ChangeWatch, count: number): Promise<readonly SecretChange[]> {
  const events = await take(watch, count);
  return events.map((event) => {
    if (event.type !== 'change') throw new Error(`expected a change, got ${event.type}`);
    return event;
  });
}

/** Everything that a watch says until it ends. */
export async function collect(watch: ChangeWatch): Promise<readonly WatchEvent[]> {
  const events: WatchEvent[] = [];
  for await (const event of watch) events.push(event);
  return events;
}

export function summary(event: WatchEvent): string {
  return event.type === 'change' ? `${event.kind} ${event.name} ${event.version}` : event.type;
}

/** Changes written by plain SQL, in one transaction. */
export async function insertChanges(knex: Knex, count: number, tenantId = 'bulk'): Promise<void> {
  await knex.transaction(async (trx) => {
    for (let from = 0; from < count; from += 100) {
      const rows = Array.from({ length: Math.min(100, count - from) }, (_, index) => ({
        tenant_id: tenantId,
        id: crypto.randomUUID(),
        at: new Date(),
        kind: 'save',
        secret_id: crypto.randomUUID(),
        secret_name: `n${from + index}`,
        version: 1,
      }));
      await trx('secret_changes').insert(rows);
    }
  });
}

/** SQL that a knex instance sends while `work` runs. */
export async function queriesDuring(knex: Knex, work: () => Promise<unknown>): Promise<readonly string[]> {
  const queries: string[] = [];
  const listener = ({ sql }: { sql: string }): void => void queries.push(sql);
  knex.on('query', listener);
  await work();
  knex.removeListener('query', listener);
  return queries;
}

/** SQL that a knex instance sends from now on. */
export function queriesOf(knex: Knex): string[] {
  const queries: string[] = [];
  knex.on('query', ({ sql }: { sql: string }) => queries.push(sql));
  return queries;
}
