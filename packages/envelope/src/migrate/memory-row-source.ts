import { isDeepStrictEqual } from 'node:util';
import { keyOfText, textOfKey } from './key-text.ts';
import type { RowChange, RowKey, RowPage, RowSource, ScanOptions, SourceRow } from './row-source.ts';

/** Rows in memory, and a source of them. */
export interface MemoryRowSource extends RowSource {
  /** The rows as they are now, in the order of their keys. */
  readonly rows: readonly SourceRow[];
  /** Stores a row as a writer would. */
  put(row: SourceRow): void;
  delete(key: RowKey): void;
}

/** A source of rows that are held in memory: for tests, and as the smallest example of a source. */
export function memoryRowSource(initial: readonly SourceRow[]): MemoryRowSource {
  const rows = new Map<string, SourceRow>();
  const sorted = (): SourceRow[] => [...rows.values()].sort((a, b) => compareKeys(a.key, b.key));
  const source: MemoryRowSource = {
    get rows() {
      return sorted();
    },
    put(row) {
      rows.set(textOfKey(row.key), row);
    },
    delete(key) {
      rows.delete(textOfKey(key));
    },
    async scan({ after, limit, signal }: ScanOptions): Promise<RowPage> {
      signal?.throwIfAborted();
      const start = after === undefined ? undefined : keyOfText(after);
      const following = sorted().filter(({ key }) => start === undefined || compareKeys(key, start) > 0);
      const page = following.slice(0, limit);
      const last = page.at(-1);
      const more = last !== undefined && following.length > page.length;
      return { rows: page, cursor: more ? textOfKey(last.key) : undefined };
    },
    async compareAndSet(
      changes: readonly RowChange[],
      { signal }: { readonly signal?: AbortSignal | undefined } = {},
    ): Promise<readonly boolean[]> {
      signal?.throwIfAborted();
      return changes.map(({ row, next }) => {
        const name = textOfKey(row.key);
        const current = rows.get(name);
        if (current === undefined || !isDeepStrictEqual(current.stored, row.stored)) return false;
        rows.set(name, { ...current, stored: next });
        return true;
      });
    },
    async count() {
      return rows.size;
    },
  };
  for (const row of initial) source.put(row);
  return source;
}

/** Column by column, numbers before text. */
function compareKeys(a: RowKey, b: RowKey): number {
  for (const [column, left] of Object.entries(a)) {
    const right = b[column] ?? '';
    if (left === right) continue;
    const text = Number(typeof left === 'string') - Number(typeof right === 'string');
    return text !== 0 ? text : left < right ? -1 : 1;
  }
  return 0;
}
