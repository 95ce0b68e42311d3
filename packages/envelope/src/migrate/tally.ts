import type { StoredForm } from '../columns/column-codec.ts';
import type { Census, KidCount } from './census.ts';
import { type EnvelopeForm, formOf } from './rule.ts';

/** Kids that are counted one by one: whoever may write the column may plant any number of them. */
const MAX_KIDS = 1024;

/** Counts stored values in constant memory. */
export class Tally {
  #rows = 0;
  #nulls = 0;
  #plaintext = 0;
  #malformed = 0;
  #otherKids = 0;
  readonly #kids = new Map<string, { v1: number; v2: number }>();
  readonly #versions = { 1: 0, 2: 0 };
  readonly #forms = new Set<EnvelopeForm>();

  /** @param watch a kid that is counted by its name however many others come first */
  constructor(watch?: string) {
    if (watch !== undefined) this.#kids.set(watch, { v1: 0, v2: 0 });
  }

  get rows(): number {
    return this.#rows;
  }

  /** Forms of the version 2 envelopes that were seen. */
  get forms(): readonly EnvelopeForm[] {
    return [...this.#forms];
  }

  add(form: StoredForm, stored: unknown): void {
    this.#rows++;
    if (form.state === 'null') this.#nulls++;
    else if (form.state === 'plaintext') this.#plaintext++;
    else if (form.state === 'malformed') this.#malformed++;
    else {
      this.#versions[form.version]++;
      if (form.version === 2) this.#forms.add(formOf(stored));
      this.#countKid(form.kid, form.version);
    }
  }

  census(): Census {
    const byKid: Record<string, KidCount> = Object.create(null);
    for (const [kid, { v1, v2 }] of this.#kids) if (v1 + v2 > 0) byKid[kid] = Object.freeze({ v1, v2 });
    return Object.freeze({
      rows: this.#rows,
      nulls: this.#nulls,
      plaintext: this.#plaintext,
      malformed: this.#malformed,
      byVersion: Object.freeze({ ...this.#versions }),
      byKid: Object.freeze(byKid),
      otherKids: this.#otherKids,
    });
  }

  #countKid(kid: string, version: 1 | 2): void {
    let count = this.#kids.get(kid);
    if (count === undefined && this.#kids.size >= MAX_KIDS) {
      this.#otherKids++;
      return;
    }
    if (count === undefined) {
      count = { v1: 0, v2: 0 };
      this.#kids.set(kid, count);
    }
    if (version === 1) count.v1++;
    else count.v2++;
  }
}
