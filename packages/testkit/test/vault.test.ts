import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { ANY, startVaultRecorder, startVaultReplay, type VaultRecording } from '../src/vault.ts';

const SERVER = { product: 'OpenBao', version: '2.5.5', reports: '2.5.5' };
const exchange = (over: object): VaultRecording['exchanges'][number] => ({
  method: 'POST',
  path: '/v1/x',
  token: 'a',
  body: { n: 1 },
  status: 200,
  answer: { data: 1 },
  ...over,
});

async function ask(url: string, path: string, over: { method?: string; token?: string; body?: unknown } = {}) {
  const { method = 'POST', token = 'a', body } = over;
  const headers = { 'x-vault-token': token };
  const response = await fetch(`${url}${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? undefined : (JSON.parse(text) as unknown) };
}

async function replay(...exchanges: VaultRecording['exchanges']) {
  const server = await startVaultReplay({ server: SERVER, exchanges });
  onTestFinished(server.stop);
  return server;
}

it('answers the same request in the order of the recording, and with the last answer from then on', async () => {
  const server = await replay(
    exchange({ answer: { data: 1 } }),
    exchange({ path: '/v1/y', answer: { data: 'y' } }),
    exchange({ status: 403, answer: { errors: [] } }),
  );
  const answers = [];
  for (let call = 0; call < 3; call++) answers.push(await ask(server.url, '/v1/x', { body: { n: 1 } }));
  expect(answers.map(({ status }) => status)).toEqual([200, 403, 403]);
  expect(await ask(server.url, '/v1/y', { body: { n: 1 } })).toEqual({ status: 200, json: { data: 'y' } });
  expect(server.requests()).toEqual(['POST /v1/x', 'POST /v1/x', 'POST /v1/x', 'POST /v1/y']);
  expect(server.unmatched()).toEqual([]);
});

it.each([
  ['another path', '/v1/z', { body: { n: 1 } }],
  ['another query', '/v1/x?limit=1', { body: { n: 1 } }],
  ['another method', '/v1/x', { method: 'PUT', body: { n: 1 } }],
  ['another token', '/v1/x', { token: 'b', body: { n: 1 } }],
  ['another value', '/v1/x', { body: { n: 2 } }],
  ['a member more', '/v1/x', { body: { n: 1, m: 1 } }],
  ['no body', '/v1/x', {}],
])('%s was never recorded: it is told', async (_what, path, over) => {
  const server = await replay(exchange({}));
  expect((await ask(server.url, path, over)).status).toBe(400);
  expect(server.unmatched()).toHaveLength(1);
  expect(server.unmatched()).toEqual([]);
});

it('a body that is no JSON was never recorded', async () => {
  const server = await replay(exchange({}));
  const headers = { 'x-vault-token': 'a' };
  expect((await fetch(`${server.url}/v1/x`, { method: 'POST', headers, body: '{"n":1' })).status).toBe(400);
  expect(server.unmatched()).toHaveLength(1);
});

it('takes any text where the recording says so, and nothing else', async () => {
  const server = await replay(exchange({ body: { ciphertext: ANY, type: 'x' } }));
  expect((await ask(server.url, '/v1/x', { body: { ciphertext: 'random', type: 'x' } })).status).toBe(200);
  expect((await ask(server.url, '/v1/x', { body: { ciphertext: 7, type: 'x' } })).status).toBe(400);
});

it('records without secrets: each has a name that stands for it wherever it is', async () => {
  const secrets = { client_token: 'hvs.CAESIsecret', accessor: 'acc-1234', secret_id: 'sec-5678' };
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200).end(JSON.stringify({ auth: secrets, data: { id: `used ${secrets.client_token}` } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const recorder = await startVaultRecorder(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'root');
  onTestFinished(async () => {
    await recorder.stop();
    server.closeAllConnections();
    server.close();
  });
  await ask(recorder.url, '/v1/auth/approle/login', { token: 'root' });
  await ask(recorder.url, `/v1/x/${secrets.accessor}`, {
    token: secrets.client_token,
    body: { of: secrets.secret_id },
  });
  await ask(recorder.url, '/v1/auth/k8s/login', { token: 'root', body: { jwt: 'eyJhb.x.y', role: 'r' } });
  await ask(recorder.url, '/v1/mount/keys/k/import', { token: 'root', body: { ciphertext: 'random', type: 'x' } });
  const [login, second, kubernetes, imported] = recorder.exchanges();
  const text = JSON.stringify(recorder.exchanges());
  for (const secret of [...Object.values(secrets), '"root"', 'eyJhb', 'random']) expect(text).not.toContain(secret);
  const { auth } = (login as { answer: { auth: typeof secrets } }).answer;
  expect(second).toMatchObject({
    token: auth.client_token,
    path: `/v1/x/${auth.accessor}`,
    body: { of: auth.secret_id },
  });
  expect(kubernetes?.body).toEqual({ jwt: ANY, role: 'r' });
  expect(imported?.body).toEqual({ ciphertext: ANY, type: 'x' });
});
