import type { Handle } from './cryptoki.ts';

const MAX_HANDLES = 10_000;

interface Known {
  readonly handle: Handle;
  readonly form: string;
}

/** Handles of objects by what they were looked for: the oldest goes when there are too many. */
export class HandleCache {
  readonly #handles = new Map<string, Known>();

  /** @param form what the key has to be: a handle that was found good for one form is not taken for another */
  get(name: string, form: string): Handle | undefined {
    const known = this.#handles.get(name);
    return known?.form === form ? known.handle : undefined;
  }

  set(name: string, form: string, handle: Handle): void {
    if (this.#handles.size >= MAX_HANDLES) this.#handles.delete(this.#handles.keys().next().value as string);
    this.#handles.set(name, { handle, form });
  }

  delete(name: string): void {
    this.#handles.delete(name);
  }

  clear(): void {
    this.#handles.clear();
  }
}
