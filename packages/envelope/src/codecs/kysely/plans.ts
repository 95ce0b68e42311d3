import type { Row } from '../encrypted-columns.ts';
import type { Outputs } from './outputs.ts';

/**
 * What is to be decrypted in the results of queries. Those built from one beginning share an id, and a result tells
 * nothing else of its query: several of them under way at once are told apart by the names in their rows.
 */
export class Plans {
  readonly #byQuery = new WeakMap<object, Map<string, Outputs | undefined>>();

  /** @param outputs `undefined` for a query that gives nothing encrypted */
  add(queryId: object, outputs: Outputs | undefined): void {
    const known = this.#byQuery.get(queryId) ?? new Map<string, Outputs | undefined>();
    this.#byQuery.set(queryId, known.set(outputs?.signature ?? '', outputs));
  }

  decoderOf(queryId: object): ((row: Row) => Row) | undefined {
    const known = this.#byQuery.get(queryId);
    const all = [...(known?.values() ?? [])].filter((outputs) => outputs !== undefined);
    const [first] = all;
    if (known === undefined || first === undefined) return undefined;
    return (row) => {
      const fitting = all.filter((outputs) => outputs.fits(row));
      // Whatever could be encrypted is decrypted: what is not does not pass as if it had been.
      if (fitting.length > 0) return fitting.reduce((decoded, outputs) => outputs.decode(row, decoded), row);
      return known.has('') ? row : first.decode(row);
    };
  }
}
