import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { rawCause } from '@keywright/envelope';
import type { KmsError, KmsProvider, VaultProviderOptions } from '@keywright/kms';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Answer, type Asked, keyData, openAnswering, REF } from './answering.ts';
import { refusal } from './support.ts';

const DATA = Buffer.from('data');
const DENIED: Answer = { status: 403, body: { errors: ['permission denied'] } };
const AUTH = { appRole: { roleId: 'r', secretId: 'the secret id' } };

/** A Vault whose logins give one token after the other, and that answers the rest as told. */
async function openLogins(
  answer: (asked: Asked) => Answer | undefined,
  login: (nth: number) => Answer = (nth) => tokenOf(`token-${nth}`),
): Promise<{ readonly provider: KmsProvider; readonly logins: () => number }> {
  let logins = 0;
  const { provider } = await openAnswering(
    (asked) => (asked.path.endsWith('/login') ? login(++logins) : answer(asked)),
    { vaultToken: undefined, auth: AUTH },
  );
  return { provider, logins: () => logins };
}

function tokenOf(token: string, lifetime = 3_600): Answer {
  return { status: 200, body: { auth: { client_token: token, renewable: true, lease_duration: lifetime } } };
}

/** Moves the clock that tells how long something was ago; timers and sockets go on as they do. */
function movableClock(): (ms: number) => void {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  return (ms) => void vi.advanceTimersByTime(ms);
}

describe('logins', () => {
  it('a token that may not even ask about itself is not replaced again and again', async () => {
    const move = movableClock();
    const { provider, logins } = await openLogins(() => DENIED);
    for (let call = 0; call < 5; call++) {
      expect(await refusal(provider.sign(REF, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', retryable: false });
      expect(await provider.health()).toMatchObject({ ok: false });
    }
    await Promise.all(Array.from({ length: 20 }, () => refusal(provider.sign(REF, DATA))));
    expect(logins()).toBe(2);
    move(61_000);
    await refusal(provider.sign(REF, DATA));
    expect(logins()).toBe(3);
  });

  it('one that is refused is not tried again for a minute, so that nothing is locked', async () => {
    const move = movableClock();
    let isMended = false;
    const refused: Answer = { status: 400, body: { errors: ['invalid role or secret ID'] } };
    const { provider, logins } = await openLogins(
      ({ path }) => (path.includes('/keys/') ? keyData() : { status: 200, body: { data: { signature: SIGNATURE } } }),
      () => (isMended ? tokenOf('token') : refused),
    );
    for (let call = 0; call < 5; call++) {
      const error = await refusal(provider.sign(REF, DATA));
      expect(error).toMatchObject({ code: 'ERR_KMS_CREDENTIALS', context: { operation: 'login', keyId: 'k1' } });
    }
    expect(logins()).toBe(1);
    isMended = true;
    move(61_000);
    await expect(provider.sign(REF, DATA)).resolves.toHaveLength(64);
    expect(logins()).toBe(2);
  });

  it.each([400, 500])('an answer of %i that holds a token shows none, not even as the raw cause', async (status) => {
    const { provider } = await openLogins(
      () => undefined,
      () => ({ ...(tokenOf('hvs.in-a-strange-answer') as { body: object }), status }),
    );
    const error = (await refusal(provider.sign(REF, DATA))) as KmsError;
    expect(rawCause(error)).toMatchObject({ name: 'VaultAnswer', status });
    expect(inspect(rawCause(error), { depth: 9 })).not.toContain('hvs.');
  });
});

describe('tokens', () => {
  it('a given one is renewed although it could not be asked about at first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let lookups = 0;
    const { provider, requests } = await openAnswering(({ path }) => {
      if (path.endsWith('/renew-self')) return tokenOf('given', 60);
      if (!path.endsWith('/lookup-self')) return path.includes('/keys/') ? keyData() : undefined;
      return ++lookups === 1
        ? { status: 503, body: {} }
        : { status: 200, body: { data: { renewable: true, ttl: 60 } } };
    });
    await provider.getPublicKey(REF);
    const seen = (ending: string) => () => requests.filter((request) => request.endsWith(ending)).length;
    await waitFor(seen('/lookup-self'), 1, 10_000);
    await waitFor(seen('/renew-self'), 1, 10_000);
    expect(lookups).toBe(2);
  });

  it('a logger that throws harms nobody', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let warnings = 0;
    const warn = (): void => {
      warnings++;
      throw new Error('the disk is full');
    };
    const { provider, requests } = await openAnswering(
      ({ path }) => {
        if (path.endsWith('/login')) return tokenOf('token', 60);
        if (path.endsWith('-self')) return path.endsWith('/renew-self') ? DENIED : { status: 500, body: {} };
        return path.includes('/keys/') ? keyData() : undefined;
      },
      { vaultToken: undefined, auth: AUTH, logger: { info: warn, warn, error: warn } },
    );
    const login = (): number => requests.filter((request) => request.endsWith('/login')).length;
    await provider.getPublicKey(REF);
    await waitFor(() => warnings, 1, 40_000);
    await provider.getPublicKey({ ...REF, externalId: REF.externalId.replace('c', 'd') });
    expect(login()).toBe(2);
    await provider.close();
  });

  it('a file is read again after 5 seconds, and at once when its token is refused', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const tokenFile = join(folderOf('file'), 'token');
    const sent: unknown[] = [];
    let valid: readonly unknown[] = ['first', 'second'];
    const { provider } = await openAnswering(
      ({ path, headers }) => {
        const token = headers['x-vault-token'];
        if (!valid.includes(token)) return DENIED;
        if (path.endsWith('-self')) return undefined;
        sent.push(token);
        return keyData();
      },
      { vaultToken: undefined, auth: { tokenFile } },
    );
    const publicKey = (nth: number) => provider.getPublicKey({ ...REF, externalId: `${nth}`.repeat(32) });
    writeFileSync(tokenFile, 'first');
    await publicKey(1);
    writeFileSync(tokenFile, 'second');
    await publicKey(2);
    vi.advanceTimersByTime(5_000);
    await publicKey(3);
    expect(sent).toEqual(['first', 'first', 'second']);
    valid = ['third'];
    expect(await refusal(publicKey(4))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
    writeFileSync(tokenFile, 'third');
    await publicKey(4);
    expect(sent).toEqual(['first', 'first', 'second', 'third']);
  });

  it('a file that is no file is not waited for', async () => {
    const tokenFile = join(folderOf('pipe'), 'token');
    execFileSync('mkfifo', [tokenFile]);
    const over: Partial<VaultProviderOptions> = { vaultToken: undefined, auth: { tokenFile }, attemptTimeoutMs: 2_000 };
    const { provider } = await openAnswering(() => undefined, over);
    expect(await refusal(provider.sign(REF, DATA))).toMatchObject({ code: 'ERR_KMS_CREDENTIALS' });
  });
});

function folderOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `keywright-vault-${name}-`));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const SIGNATURE = `vault:v1:${'A'.repeat(86)}`;

/** Lets faked timers run until `read` has reached `wanted`, with time for the server to answer in between. */
async function waitFor(read: () => number, wanted: number, stepMs: number): Promise<void> {
  for (const until = performance.now() + 10_000; performance.now() < until; ) {
    for (let turn = 0; turn < 20; turn++) {
      if (read() >= wanted) return;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    vi.advanceTimersByTime(stepMs);
  }
  throw new Error(`still ${read()}`);
}
