import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { tokenKinds } from '../src/hsm.ts';
import { remoteTokenLibrary, startRemoteToken, startSoftHsm } from '../src/index.ts';

test.for(tokenKinds())('a token of $name is a new one, and gone when it is stopped', async ({ start }) => {
  const [one, other] = [await start(), await start()];
  expect(one.label).not.toBe(other.label);
  expect(one.pin).not.toBe(other.pin);
  expect(readdirSync(one.folder).length).toBeGreaterThan(0);
  await Promise.all([one.stop(), other.stop()]);
  expect([one, other].map(({ folder }) => existsSync(folder))).toEqual([false, false]);
});

test.skipIf(remoteTokenLibrary() === undefined || tokenKinds('SoftHSM').length === 0)(
  'a token over a socket is served, killed and served again',
  async () => {
    const token = await startSoftHsm();
    const remote = await startRemoteToken(token);
    const path = (process.env.P11_KIT_SERVER_ADDRESS ?? '').replace('unix:path=', '');
    expect(await answers(path)).toBe(true);
    await remote.kill();
    expect(await answers(path)).toBe(false);
    await remote.start();
    expect(await answers(path)).toBe(true);
    await remote.kill();
    await token.stop();
  },
);

function answers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path, () => {
    socket.destroy();
    resolve(true);
  });
  socket.on('error', () => resolve(false));
  return promise;
}
