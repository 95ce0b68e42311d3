import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startRemoteKms } from '@keywright/testkit/kms';
import { expect, it } from 'vitest';
import { answer, startBadServer } from './bad-server.ts';

it.concurrent.for([
  ['with close', 'true undefined'],
  ['without close', 'true undefined'],
  ['in a call', 'true ERR_KMS_CLOSED'],
] as const)('a process comes to its end by itself, %s', async ([way, said], { onTestFinished: atEnd }) => {
  let signed = 0;
  const service = await startRemoteKms({
    keepAliveMs: 60_000,
    intercept: ({ url }) => (url.endsWith('/sign') && ++signed === 2 ? 'hang' : undefined),
  });
  atEnd(service.stop);
  const token = JSON.stringify({ access_token: 't', token_type: 'bearer', expires_in: 3_600 });
  const endpoint = await startBadServer((socket) => void socket.write(answer(token)), atEnd);
  const program = join(import.meta.dirname, 'leave.ts');
  const child = spawn(process.execPath, [program, service.url, `${endpoint.url}/token`, way], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atEnd(() => void child.kill('SIGKILL'));
  const start = performance.now();
  const output = text(child.stdout);
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(await output).toBe(said);
  expect(performance.now() - start).toBeLessThan(8_000);
});
