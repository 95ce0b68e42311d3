export interface WorkerSetup {
  /** Of the process; its actor. */
  readonly name: string;
  readonly url: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly activeKid: string;
  /** Who signs the log; PEM. */
  readonly signer: { readonly name: string; readonly privateKey: string };
  /** File that gets a line for every operation. */
  readonly log: string;
  readonly callers: number;
  readonly tenants: readonly string[];
  /** Secrets of a tenant that are fought over. */
  readonly names: number;
  /** About how often the process rotates a tenant's key or seals the log, in milliseconds. */
  readonly sweepEveryMs: number;
}

export type Order =
  | { readonly kind: 'run'; readonly runMs: number }
  | { readonly kind: 'activate'; readonly kid: string }
  | { readonly kind: 'rotateRoot' }
  | { readonly kind: 'end' };

export type Reply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done' }
  | { readonly kind: 'activated' }
  | { readonly kind: 'rotated' }
  | { readonly kind: 'ended' };
