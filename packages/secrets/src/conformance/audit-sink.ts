import type { AuditSink, AuditSinkEntry } from '@keywright/envelope';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** A sink, and a way to see what it took. */
export interface AuditSinkHarness {
  readonly sink: AuditSink;
  /** Leaves of the entries that arrived, in the order they arrived in. */
  taken(): Promise<readonly number[]>;
  /** Makes the next batch fail, and only that. */
  failNext(): Promise<void>;
  close?(): Promise<void>;
}

/**
 * Registers the tests that every sink of the audit log has to pass, in a vitest file.
 *
 * @param makeHarness called for every test: a sink that has taken nothing
 *
 * @example
 * ```ts
 * import type { AuditSink } from '@keywright/envelope';
 * import { auditSinkConformance } from '@keywright/secrets/conformance';
 *
 * auditSinkConformance('in memory', async () => {
 *   const leaves: number[] = [];
 *   let failing = false;
 *   const sink: AuditSink = {
 *     write: async (entries) => {
 *       if (failing) {
 *         failing = false;
 *         throw new Error('down');
 *       }
 *       leaves.push(...entries.map(({ leafIndex }) => leafIndex));
 *     },
 *   };
 *   const failNext = async () => {
 *     failing = true;
 *   };
 *   return { sink, taken: async () => leaves, failNext };
 * });
 * ```
 */
export function auditSinkConformance(name: string, makeHarness: () => Promise<AuditSinkHarness>): void {
  describe(`audit sink ${name}`, () => {
    let harness: AuditSinkHarness;

    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(async () => {
      await harness.close?.();
    });

    const give = async (first: number, count: number, signal = new AbortController().signal): Promise<void> => {
      const entries = Array.from({ length: count }, (_, index) => entryOf(first + index));
      await harness.sink.write(entries, { signal, checkpoint: 'example.com/audit\n0\n\n' });
    };

    it('has every entry, in order, once it says so', async () => {
      await give(0, 3);
      await give(3, 1);
      expect(await harness.taken()).toEqual([0, 1, 2, 3]);
    });

    it('takes a full batch', async () => {
      await give(0, 500);
      expect(await harness.taken()).toEqual([...Array(500).keys()]);
    });

    it('takes a batch again: what it said of the first may have been lost', async () => {
      await give(0, 2);
      await give(0, 2);
      expect(new Set(await harness.taken())).toEqual(new Set([0, 1]));
    });

    it('fails with an error, and takes the same batch afterwards', async () => {
      await harness.failNext();
      await expect(give(0, 2)).rejects.toThrow();
      await give(0, 2);
      expect(new Set(await harness.taken())).toEqual(new Set([0, 1]));
    });

    it('leaves the entries as they were', async () => {
      const entry = Object.freeze(entryOf(0));
      await harness.sink.write(Object.freeze([entry]), { signal: new AbortController().signal, checkpoint: '' });
      expect(entry).toEqual(entryOf(0));
    });
  });
}

/** With what breaks lines and encodings. */
function entryOf(leafIndex: number): AuditSinkEntry {
  return {
    leafIndex,
    tenantId: 'acmé "quoted", \u2028',
    id: `01890a5d-ac96-774b-bcce-${String(leafIndex).padStart(12, '0')}`,
    at: new Date(leafIndex),
    actor: 'user:1',
    action: 'secret.get',
    outcome: leafIndex % 2 === 0 ? 'success' : 'refused',
    secretId: null,
    secretName: '🔑 <key>',
    version: null,
    context: Object.freeze({ code: 'ERR_SECRETS_NOT_FOUND', items: 1 }),
    request: Object.freeze({ ip: '203.0.113.9', userAgent: 'line\nbreak' }),
  };
}
