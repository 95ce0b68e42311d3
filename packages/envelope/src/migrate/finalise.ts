import type { ColumnCodec, ColumnStorage } from '../columns/column-codec.ts';
import { checkCodec, checkCount, checkHook, checkOptions, checkSource, checkTarget } from './arguments.ts';
import { type Census, type CensusOptions, countRows } from './census.ts';
import { DEFAULTS, MAX_BATCH_ROWS } from './defaults.ts';
import { ColumnMigrationError } from './errors.ts';
import type { RowSource } from './row-source.ts';
import type { ColumnConstraint, ColumnRule, EnvelopeForm } from './rule.ts';
import { Tally } from './tally.ts';
import type { Target } from './target.ts';

export interface FinaliseOptions<T> extends CensusOptions<T> {
  /** What is to have left the column. */
  readonly from: Target;
}

export interface Finalised {
  readonly census: Census;
  /** Whether all rows were seen as they were at one instant. Where not, a writer may have moved one past the scan. */
  readonly snapshot: boolean;
  /**
   * Statements with which the database keeps it so. `undefined` where the source makes none (it filters rows, or is no
   * SQL), and where other plaintext is left, which every rule would refuse.
   */
  readonly constraint: ColumnConstraint | undefined;
}

const FORM: Readonly<Record<ColumnStorage, EnvelopeForm>> = { text: 'text', json: 'object', bytes: 'bytes' };

/**
 * Proves that nothing of the kind is left, in one scan of one snapshot, and prints the constraint that keeps it so. It
 * changes nothing.
 *
 * A process of before may still write the old kind after the snapshot. So: no such process, then this, then `add` the
 * constraint, then `validate`: that the database checks every row itself is the proof that counts.
 *
 * @throws ColumnMigrationError `ERR_COLUMN_NOT_FINAL` with the `census`, also if a value is malformed;
 * `ERR_COLUMN_SOURCE_HIDDEN`, `ERR_COLUMN_SOURCE_FAILED`; ColumnError `ERR_COLUMN_INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import type { ColumnCodec } from '@keywright/envelope/columns';
 * import { finalise, type RowSource } from '@keywright/envelope/migrate';
 *
 * export async function constraintOf(codec: ColumnCodec<unknown>, source: RowSource): Promise<readonly string[]> {
 *   const { constraint } = await finalise({ codec, source, from: { plaintext: true } });
 *   return constraint === undefined ? [] : [...constraint.add, ...constraint.validate];
 * }
 * ```
 */
export async function finalise<T>(options: FinaliseOptions<T>): Promise<Finalised> {
  const { codec, source, batchRows = DEFAULTS.batchRows, signal, onProgress } = checkOptions(options);
  checkCodec(codec);
  checkSource(source);
  const from = checkTarget(options.from);
  checkCount(batchRows, 'batchRows', MAX_BATCH_ROWS);
  checkHook(onProgress, 'onProgress');
  const tally = new Tally('kid' in from ? from.kid : undefined);
  const count = (snapshot: RowSource): Promise<void> =>
    countRows({ codec, source: snapshot, batchRows, signal, onProgress }, tally);
  await (source.snapshot === undefined ? count(source) : source.snapshot(count));
  const census = tally.census();
  const left = census.malformed + leftOf(from, census);
  if (left > 0) {
    const { table, column } = codec;
    throw new ColumnMigrationError('ERR_COLUMN_NOT_FINAL', { context: { table, field: column, count: left }, census });
  }
  // Asked even where it is not given: a source throws that rows are hidden from.
  const made = await source.constraint?.(ruleOf(codec, from, tally));
  const constraint = census.plaintext > 0 ? undefined : made;
  return Object.freeze({ census, snapshot: source.snapshot !== undefined, constraint });
}

function leftOf(target: Target, { plaintext, byVersion, byKid }: Census): number {
  if ('plaintext' in target) return plaintext;
  if ('version' in target) return byVersion[1];
  const under = byKid[target.kid];
  return under === undefined ? 0 : under.v1 + under.v2;
}

function ruleOf<T>(codec: ColumnCodec<T>, target: Target, tally: Tally): ColumnRule {
  const v1 = !('version' in target) && (codec.write === 'v1' || tally.census().byVersion[1] > 0);
  const forms = new Set<EnvelopeForm>([FORM[codec.storage], ...tally.forms, ...(v1 ? (['object'] as const) : [])]);
  return {
    versions: v1 ? [1, 2] : [2],
    forms: [...forms],
    ...('kid' in target ? { notKid: target.kid } : {}),
  };
}
