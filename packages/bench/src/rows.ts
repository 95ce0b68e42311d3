import type { Fixtures } from './fixtures.ts';
import type { Context } from './peers/peer.ts';

const IDS = 1024;

/** Contexts of rows of one table, a new object for each row: what an application makes at every call. */
export class Rows {
  readonly #ids: readonly string[];
  #calls = 0;

  constructor(fixtures: Fixtures) {
    this.#ids = Array.from({ length: IDS }, () => fixtures.uuid());
  }

  next(): Context {
    this.#calls++;
    return this.same();
  }

  /** The row of the last `next`, as another object. */
  same(): Context {
    return { table: 'connections', column: 'credentials', tenant: 'acme', id: this.#ids[this.#calls % IDS] as string };
  }
}
