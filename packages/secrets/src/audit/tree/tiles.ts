import type { Knex } from 'knex';
import { asRow } from '../../internal/rows.ts';
import type { Tables } from '../../tables.ts';
import { HASH_BYTES, perfectRoot } from './merkle.ts';
import { MissingHashes, type ReadTile, TILE_WIDTH } from './nodes.ts';

const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** Reads tiles, each once. Hashes of a tile never change; it only grows. */
export function tileReader(db: Knex, tables: Tables): ReadTile {
  const tiles = new Map<string, Promise<Uint8Array>>();
  return (level, tile) => {
    const name = `${level}/${tile}`;
    const found = tiles.get(name) ?? readTile(db, tables, level, tile);
    tiles.set(name, found);
    return found;
  };
}

/**
 * Appends leaves to a tree of `size` leaves: tiles that are full are hashed into the level above.
 * Precondition: nobody else appends in the meantime.
 */
export async function appendLeaves(db: Knex, tables: Tables, size: number, leaves: Buffer): Promise<void> {
  const tiles: { level: number; tile: number; hashes: Buffer }[] = [];
  let [level, count, added] = [0, size, leaves];
  while (added.byteLength > 0) {
    const first = Math.floor(count / TILE_WIDTH);
    const hashes = Buffer.concat([await partialTile(db, tables, level, count), added]);
    const full: Buffer[] = [];
    for (let at = 0; at < hashes.byteLength; at += TILE_BYTES) {
      const tile = hashes.subarray(at, at + TILE_BYTES);
      tiles.push({ level, tile: first + at / TILE_BYTES, hashes: tile });
      if (tile.byteLength === TILE_BYTES) full.push(perfectRoot(tile));
    }
    [level, count, added] = [level + 1, first, Buffer.concat(full)];
  }
  if (tiles.length === 0) return;
  // In SQL: knex takes its time over rows that hold long buffers.
  const values = tiles.map(() => '(?, ?, ?)').join(', ');
  await db.raw(
    `insert into ?? (level, tile, hashes) values ${values} on conflict (level, tile) do update set hashes = excluded.hashes`,
    [tables.auditLeaves, ...tiles.flatMap((one) => [one.level, one.tile, one.hashes])],
  );
}

/** What the last tile of a level holds, where it is not full. */
async function partialTile(db: Knex, tables: Tables, level: number, count: number): Promise<Uint8Array> {
  const bytes = (count % TILE_WIDTH) * HASH_BYTES;
  const tile = Math.floor(count / TILE_WIDTH);
  const hashes = bytes === 0 ? Buffer.alloc(0) : await readTile(db, tables, level, tile);
  if (hashes.byteLength < bytes) throw new MissingHashes(level, tile);
  return hashes.subarray(0, bytes);
}

/** What is not bytes, as SQLite may hold it, is no hashes. */
export function hashesOf(stored: unknown): Uint8Array {
  return stored instanceof Uint8Array ? stored : Buffer.alloc(0);
}

async function readTile(db: Knex, tables: Tables, level: number, tile: number): Promise<Uint8Array> {
  const row = asRow<{ hashes: Buffer }>(await db(tables.auditLeaves).where({ level, tile }).first('hashes'));
  return hashesOf(row?.hashes);
}
