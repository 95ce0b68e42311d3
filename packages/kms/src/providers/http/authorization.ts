import type { DriverCall } from '../../driver.ts';

/** What the provider shows to the service with each request. */
export interface Authorization {
  /** Value of the `Authorization` header; `undefined` for none. */
  current(call: DriverCall): Promise<string | undefined>;
  /** Whether another value may succeed where `refused` was answered with 401; it is then fetched by {@link current}. */
  renew(refused: string | undefined): boolean;
  close(): void;
}

/** A bearer token that stays as it is, or none. */
export function staticAuthorization(apiKey: string | undefined): Authorization {
  const header = apiKey === undefined ? undefined : `Bearer ${apiKey}`;
  return { current: async () => header, renew: () => false, close: () => {} };
}
