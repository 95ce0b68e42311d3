import { setTimeout as sleep } from 'node:timers/promises';
import { type KmsKey, type KmsProvider, verifySignature } from '@keywright/kms';
import type { RemoteToken } from '@keywright/testkit';

export interface RestartsResult {
  readonly callers: number;
  readonly restarts: number;
  readonly signed: number;
  readonly wrong: number;
  /** Calls that were refused, by code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Callers that did not sign again after a restart, all of them added up. */
  readonly stuck: number;
  /** The longest that a call took, in milliseconds. */
  readonly slowestMs: number;
}

export interface RestartsOptions {
  readonly provider: KmsProvider;
  readonly key: KmsKey;
  readonly token: RemoteToken;
  readonly callers: number;
  readonly restarts: number;
  readonly onRestart?: (restart: number) => void;
}

/** How long a token is away, in milliseconds, time after time. */
const AWAY_MS = [0, 100, 400, 1_500, 3_000];
/** How long it works in between. */
const BACK_MS = 1_500;

/** Signs without a pause while the token's process is killed and started again. */
export async function stressRestarts(options: RestartsOptions): Promise<RestartsResult> {
  const { provider, key, token, callers, restarts, onRestart } = options;
  const data = Buffer.from('keywright');
  const refused: Record<string, number> = {};
  const signedBy = new Map<number, number>();
  const end = new AbortController();
  let wrong = 0;
  let slowestMs = 0;
  const caller = async (index: number): Promise<void> => {
    while (!end.signal.aborted) {
      const start = performance.now();
      try {
        const signature = await provider.sign(key, data);
        if (!verifySignature(key.alg, key.publicJwk, data, signature)) wrong++;
        signedBy.set(index, (signedBy.get(index) ?? 0) + 1);
      } catch (error) {
        const code = (error as { code?: string }).code ?? String(error);
        refused[code] = (refused[code] ?? 0) + 1;
        await sleep(20);
      }
      slowestMs = Math.max(slowestMs, performance.now() - start);
    }
  };
  const all = Array.from({ length: callers }, (_, index) => caller(index));
  let stuck = 0;
  for (let restart = 0; restart < restarts; restart++) {
    await sleep(Math.random() * 200);
    await token.kill();
    await sleep(AWAY_MS[restart % AWAY_MS.length]);
    await token.start();
    const before = new Map(signedBy);
    await sleep(BACK_MS);
    for (let index = 0; index < callers; index++) if (signedBy.get(index) === before.get(index)) stuck++;
    onRestart?.(restart + 1);
  }
  end.abort();
  await Promise.all(all);
  const signed = [...signedBy.values()].reduce((sum, count) => sum + count, 0);
  return { callers, restarts, signed, wrong, refused, stuck, slowestMs };
}
