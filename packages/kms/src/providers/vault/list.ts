import { invalidArgument } from '../../arguments.ts';
import type { DriverCall } from '../../driver.ts';
import type { BackendKey, BackendKeyPage } from '../../provider.ts';
import { dataOf, type VaultClient } from './client.ts';
import type { Places } from './places.ts';
import { invalidResponse, saysNoKey, saysNoMount } from './refusal.ts';

const MAX_REQUESTS = 20;

/**
 * A tenant's keys, in the order of their names. OpenBao takes a page; HashiCorp's Vault answers with everything,
 * whatever it is asked for, and the page is cut out here. Whatever else is in the mount is left out.
 */
export async function listTransitKeys(
  client: VaultClient,
  places: Places,
  page: { readonly tenantId: string | undefined; readonly cursor: string | undefined; readonly limit: number },
  call: DriverCall,
): Promise<BackendKeyPage> {
  const { tenantId, limit } = page;
  if (tenantId === undefined) throw invalidArgument('tenantId', 'a tenant: their keys are kept apart', 'undefined');
  const prefix = places.keyPrefixOf(tenantId);
  const path = `${places.mountOf(tenantId)}/keys`;
  const keys: BackendKey[] = [];
  let after = page.cursor === undefined ? prefix : `${prefix}${checkCursor(page.cursor)}`;
  for (let request = 0; request < MAX_REQUESTS; request++) {
    const listed = await listAfter(client, path, after, limit, call);
    for (const key of listed) {
      const name = places.nameOf(tenantId, key);
      if (name === undefined) continue;
      keys.push({ externalId: name, name, tenantId });
      if (keys.length === limit) return { keys, cursor: name };
    }
    const last = listed.at(-1);
    if (last === undefined || listed.length < limit || !last.startsWith(prefix)) return { keys, cursor: undefined };
    after = last;
  }
  throw invalidResponse({ status: 200, retryAfter: undefined, json: undefined }, 'a list that ends');
}

/** What comes after `after`. A mount that was never made has no keys. */
async function listAfter(
  client: VaultClient,
  path: string,
  after: string,
  limit: number,
  call: DriverCall,
): Promise<readonly string[]> {
  const asked = { list: 'true', ...(after === '' ? {} : { after }), limit: String(limit) };
  const query = new URLSearchParams(asked).toString();
  const answer = await client.ask({ method: 'GET', path, query }, call);
  if (saysNoKey(answer) || saysNoMount(answer)) return [];
  const { keys } = dataOf(answer);
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) throw invalidResponse(answer, 'keys');
  return keys.filter((key) => key > after).sort();
}

function checkCursor(cursor: string): string {
  if (/^[0-9a-f]{32}$/.test(cursor)) return cursor;
  throw invalidArgument('cursor', 'what the page before returned', `string of length ${cursor.length}`);
}
