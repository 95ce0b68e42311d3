import { SecretsError } from '../errors.ts';
import { asRow, asRows } from '../internal/rows.ts';
import { leafHash } from './canonical.ts';
import { type CheckpointRow, type TrustedCheckpoint, trusted } from './checkpoints.ts';
import type { AuditEnvironment } from './environment.ts';
import type { Findings } from './finding.ts';
import { AUDIT_COLUMNS, type AuditRow } from './row.ts';
import { CompactTree, HASH_BYTES, perfectRoot } from './tree/merkle.ts';
import { frontierOf, MissingHashes, type ReadTile, TILE_WIDTH } from './tree/nodes.ts';
import { equal } from './tree/proofs.ts';
import { hashesOf, tileReader } from './tree/tiles.ts';
import type { RowJudge } from './verify-rows.ts';

/** Leaves that are looked at together: whole tiles. */
export const LEAVES_PER_STEP: number = 8 * TILE_WIDTH;

/** A tree size at which the root is known. */
interface Milestone {
  readonly size: number;
  /** `undefined` where what is stored there is no checkpoint. */
  readonly root: Uint8Array | undefined;
}

/**
 * Compares the sealed rows with the leaves of the tree, and the tree with every checkpoint of its sizes. Where the tree
 * differs from what was signed, the row cannot be told; where a row differs from the tree, it can.
 */
export class LeafCheck {
  readonly #env: AuditEnvironment;
  readonly #findings: Findings;
  readonly #judge: RowJudge;
  readonly #known: readonly TrustedCheckpoint[];
  #tree: CompactTree | undefined;

  /** @param known checkpoints besides those that are stored */
  constructor(env: AuditEnvironment, findings: Findings, judge: RowJudge, known: readonly TrustedCheckpoint[]) {
    this.#env = env;
    this.#findings = findings;
    this.#judge = judge;
    this.#known = known;
  }

  /** The root that the leaves up to `to` add up to; `undefined` where hashes are missing. */
  async run(
    range: { readonly from: number; readonly to: number },
    onProgress: ((rows: number) => void) | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    const { from, to } = range;
    await this.#begin(from);
    for (let first = from; first < to; ) {
      if (signal?.aborted === true) throw new SecretsError('ERR_SECRETS_ABORTED');
      const end = Math.min(to, (Math.floor(first / LEAVES_PER_STEP) + 1) * LEAVES_PER_STEP);
      const found = await this.#step(first, end);
      // However large a tree is said to be, one that ends here takes no longer than its rows.
      first = found ? end : Math.min(to, await this.#nextRow(end));
      onProgress?.(first - from);
    }
    return this.#tree?.root();
  }

  async #begin(from: number): Promise<void> {
    const read = tileReader(this.#env.knex, this.#env.tables);
    try {
      this.#tree = new CompactTree(from, await frontierOf(read, from));
    } catch (error) {
      if (!(error instanceof MissingHashes)) throw error;
      this.#lost(from);
    }
    this.#compare(await this.#milestones(from - 1, from));
  }

  /** Whether there was anything. */
  async #step(first: number, end: number): Promise<boolean> {
    const hashes = await this.#leafHashes(first, end);
    const rows = await this.#rows(first, end);
    this.#compareRows(first, end, rows, hashes);
    await this.#judge.judge(rows);
    const milestones = await this.#milestones(first, end);
    for (const hash of hashes) {
      this.#tree?.append(hash);
      this.#compare(milestones);
    }
    if (first + hashes.length < end) this.#lost(first + hashes.length);
    await this.#compareUpperTiles(first, end);
    return rows.length > 0 || hashes.length > 0;
  }

  #compareRows(first: number, end: number, rows: readonly AuditRow[], hashes: readonly Uint8Array[]): void {
    let at = 0;
    for (let leaf = first; leaf < end; leaf++) {
      const row = rows[at];
      const expected = hashes[leaf - first];
      if (row === undefined || Number(row.leaf_index) > leaf) {
        this.#findings.add({ reason: 'missing', leafIndex: leaf });
        continue;
      }
      at++;
      if (expected !== undefined && !equal(leafHash(row), expected)) this.#judge.find('edited', row);
      // another row at the same leaf, or between two
      for (let next = rows[at]; next !== undefined && Number(next.leaf_index) < leaf + 1; next = rows[++at]) {
        this.#judge.find('inserted', next);
      }
    }
  }

  #compare(milestones: readonly Milestone[]): void {
    const tree = this.#tree;
    if (tree === undefined) return;
    const here = milestones.filter(({ size }) => size === tree.size);
    if (here.length === 0) return;
    const root = tree.root();
    for (const milestone of here) {
      if (milestone.root === undefined) this.#findings.add({ reason: 'checkpoint', treeSize: milestone.size });
      else if (!equal(milestone.root, root)) this.#findings.add({ reason: 'tree', treeSize: milestone.size });
    }
  }

  /** The hash of every tile that became full has to stand in the level above, or later proofs fail. */
  async #compareUpperTiles(first: number, end: number): Promise<void> {
    const read = tileReader(this.#env.knex, this.#env.tables);
    for (let tile = Math.floor(first / TILE_WIDTH); (tile + 1) * TILE_WIDTH <= end; tile++) {
      await this.#compareAbove(read, 0, tile);
    }
  }

  async #compareAbove(read: ReadTile, level: number, tile: number): Promise<void> {
    const hashes = await read(level, tile);
    if (hashes.byteLength !== TILE_WIDTH * HASH_BYTES) return; // found to be lost already
    const above = Math.floor(tile / TILE_WIDTH);
    const offset = (tile % TILE_WIDTH) * HASH_BYTES;
    const stored = (await read(level + 1, above)).subarray(offset, offset + HASH_BYTES);
    if (!equal(stored, perfectRoot(hashes))) {
      this.#findings.add({ reason: 'tree', treeSize: (tile + 1) * TILE_WIDTH ** (level + 1) });
    } else if (tile % TILE_WIDTH === TILE_WIDTH - 1) {
      await this.#compareAbove(read, level + 1, above);
    }
  }

  async #leafHashes(first: number, end: number): Promise<readonly Uint8Array[]> {
    const { knex, tables } = this.#env;
    const firstTile = Math.floor(first / TILE_WIDTH);
    const tiles = asRows<{ tile: number | string; hashes: Buffer }>(
      await knex(tables.auditLeaves)
        .where({ level: 0 })
        .whereBetween('tile', [firstTile, Math.floor((end - 1) / TILE_WIDTH)])
        .orderBy('tile')
        .select('tile', 'hashes'),
    );
    const byTile = new Map(tiles.map(({ tile, hashes }) => [Number(tile), hashesOf(hashes)]));
    const found: Uint8Array[] = [];
    for (let leaf = first; leaf < end; leaf++) {
      const at = (leaf % TILE_WIDTH) * HASH_BYTES;
      const hash = byTile.get(Math.floor(leaf / TILE_WIDTH))?.subarray(at, at + HASH_BYTES);
      if (hash?.byteLength !== HASH_BYTES) break;
      found.push(hash);
    }
    return found;
  }

  async #rows(first: number, end: number): Promise<readonly AuditRow[]> {
    const { knex, tables } = this.#env;
    return asRows<AuditRow>(
      await knex(tables.auditLog)
        .where('leaf_index', '>=', first)
        .where('leaf_index', '<', end)
        .orderBy(['leaf_index', 'tenant_id', 'id'])
        .limit(2 * LEAVES_PER_STEP) // more than the leaves, where somebody dropped the unique index
        .select(...AUDIT_COLUMNS),
    );
  }

  /** Leaf of the first row from `first` on; endless where there is none. */
  async #nextRow(first: number): Promise<number> {
    const { knex, tables } = this.#env;
    const row = asRow<Pick<AuditRow, 'leaf_index'>>(
      await knex(tables.auditLog).where('leaf_index', '>=', first).orderBy('leaf_index').first('leaf_index'),
    );
    return Math.floor(Number(row?.leaf_index ?? Infinity));
  }

  /** Tree sizes above `first`, up to `end`, at which a checkpoint tells the root. */
  async #milestones(first: number, end: number): Promise<readonly Milestone[]> {
    const { knex, tables } = this.#env;
    const stored = asRows<CheckpointRow>(
      await knex(tables.auditCheckpoints)
        .where('tree_size', '>', first)
        .where('tree_size', '<=', end)
        .select('tree_size', 'root_hash', 'note'),
    );
    return [
      ...stored.map((row) => ({ size: Number(row.tree_size), root: trusted(this.#env, row)?.root })),
      ...this.#known.map(({ checkpoint, root }) => ({ size: checkpoint.treeSize, root })),
    ];
  }

  #lost(treeSize: number): void {
    if (this.#tree !== undefined) this.#findings.add({ reason: 'tree', treeSize });
    this.#tree = undefined;
  }
}
