import { describeEachEngine } from '@keywright/testkit/engines';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Fixture, openFixture } from './support.ts';

const OTHERS = 6;

describeEachEngine("a save that waits for somebody's transaction", (engine) => {
  if (engine.dialect !== 'postgres') {
    it('is a matter of PostgreSQL: here everybody waits', () => {
      expect(engine.dialect).toBe('sqlite');
    });
    return;
  }
  let fixture: Fixture;

  beforeAll(async () => {
    fixture = await openFixture(engine);
  });
  afterAll(async () => {
    await fixture?.close();
  });

  it.each(['a new version', 'a new secret'])('holds up no other: %s', async (what) => {
    const tenant = fixture.tenant(`held ${what}`);
    const other = fixture.tenant(`free ${what}`);
    await tenant.save('key', '0');
    await other.save('key', '0');
    const name = what === 'a new version' ? 'key' : 'new';
    const waiting: Promise<unknown>[] = [];
    await fixture.knex.transaction(async (trx) => {
      await fixture.tenant(`held ${what}`, trx).save(name, 'first');
      // One after the other, and then beside each other: each way they could take all there is.
      for (let n = 0; n < OTHERS; n++) {
        waiting.push(tenant.save(name, `${n}`));
        if (n < OTHERS / 2) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      // The transaction itself waits for these: were they held up, for ever.
      expect(await Promise.all([other.save('key', '1'), other.save('new', '1')])).toMatchObject([
        { version: 2 },
        { version: 1 },
      ]);
    });
    await Promise.all(waiting);
    const { items } = await tenant.versions(name);
    expect(items).toHaveLength(OTHERS + (what === 'a new version' ? 2 : 1));
  });
});
