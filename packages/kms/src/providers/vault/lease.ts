/** A token that is in use. */
export interface Lease {
  readonly token: string;
  /** Where it came from: a login's is revoked at the end, the others belong to somebody else. */
  readonly from: 'configuration' | 'file' | 'login';
}

/** How long a token lives, as Vault tells it. */
export interface Lifetime {
  readonly renewable: boolean;
  /** Until its end; 0 if it has none. */
  readonly ttlMs: number;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const SHORTEST_TIMER_MS = 200;

/** Of a login's `auth`, or of a token's own `data`. `undefined` if it says nothing of the kind. */
export function lifetimeOf(members: unknown): Lifetime | undefined {
  const { renewable, lease_duration: duration, ttl = duration } = Object(members) as Record<string, unknown>;
  if (typeof renewable !== 'boolean' || typeof ttl !== 'number' || !(ttl >= 0)) return undefined;
  return { renewable, ttlMs: ttl * 1_000 };
}

/** A timer that keeps no process alive. */
export function later(ms: number, work: () => void): NodeJS.Timeout {
  return setTimeout(work, Math.max(SHORTEST_TIMER_MS, Math.min(ms, LONGEST_TIMER_MS))).unref();
}
