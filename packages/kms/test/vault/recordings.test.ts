import { readdirSync, readFileSync } from 'node:fs';
import type { VaultRecording } from '@keywright/testkit/vault';
import { expect, it } from 'vitest';

const folder = new URL('../recordings/vault/', import.meta.url);
const files = readdirSync(folder);

/** Members that are secrets or lead to them, in requests and answers. */
const SECRET =
  /"(?:client_token|accessor|secret_id|secret_id_accessor|role_id|token|jwt)":"(?!scrubbed-|<any>|no such)[^"]+"/;
const TOKEN = /\b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}/;

it('there are recordings', () => {
  expect(files.length).toBeGreaterThanOrEqual(8);
});

it.each(files)('%s says what it is of, and holds neither token nor credential nor private key', (file) => {
  const text = readFileSync(new URL(file, folder), 'utf8');
  const { server, exchanges } = JSON.parse(text) as VaultRecording;
  expect(server.product).toMatch(/^(?:OpenBao|Vault)$/);
  expect(server.version).toMatch(/^\d+\.\d+\.\d+/);
  expect(exchanges.length).toBeGreaterThan(3);
  expect(text).not.toMatch(SECRET);
  expect(text).not.toMatch(TOKEN);
  expect(text).not.toMatch(/PRIVATE KEY|127\.0\.0\.1|localhost|vault-cluster-|\/(?:home|root|tmp|usr|work)\//);
});
