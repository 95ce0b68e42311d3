import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { KmsKey, KmsProvider } from '@keywright/kms';
import type { BareHsm } from '../../hsm/bare.ts';
import { type Spread, spread } from '../../statistics.ts';

export interface EventLoopResult {
  readonly signatures: number;
  readonly rounds: number;
  /** 99th percentile of the delay while so many are under way, in milliseconds, over the rounds. */
  readonly delay: Spread;
  /** The same while they are made one after the other by synchronous calls. */
  readonly blocked: Spread;
  /** One as a part of the other in the same round. */
  readonly share: Spread;
}

export interface EventLoopOptions {
  readonly provider: KmsProvider;
  readonly bare: BareHsm;
  /** Of RS256. */
  readonly key: KmsKey;
  readonly signatures: number;
  readonly rounds: number;
}

/** Signatures that each caller makes in a round, so that the delay has a percentile. */
const TIMES = 4;

/** How long the event loop waits while a token signs. */
export async function measureEventLoop({
  provider,
  bare,
  key,
  signatures,
  rounds,
}: EventLoopOptions): Promise<EventLoopResult> {
  const data = Buffer.from('keywright');
  const handle = bare.privateKey(key.externalId);
  const delays: number[] = [];
  const blocked: number[] = [];
  const sign = async (): Promise<void> => {
    for (let time = 0; time < TIMES; time++) await provider.sign(key, data);
  };
  await sign();
  for (let round = 0; round < rounds; round++) {
    delays.push(
      await p99During(async () => {
        await Promise.all(Array.from({ length: signatures }, sign));
      }),
    );
    blocked.push(
      await p99During(async () => {
        for (let count = 0; count < signatures; count++) bare.signRs256Sync(handle, data);
      }),
    );
  }
  const share = spread(delays.map((delay, round) => delay / (blocked[round] ?? Number.NaN)));
  return { signatures, rounds, delay: spread(delays), blocked: spread(blocked), share };
}

/** Beyond the timer's own millisecond. */
async function p99During(work: () => Promise<void>): Promise<number> {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  await turns();
  await work();
  await turns();
  histogram.disable();
  return histogram.percentile(99) / 1e6 - 1;
}

async function turns(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 5));
}
