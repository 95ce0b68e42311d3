import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { startRemoteToken, startSoftHsm } from '@keywright/testkit';
import { BareHsm } from '../../hsm/bare.ts';
import type { Spread } from '../../statistics.ts';
import type { StressRun } from '../stress-run.ts';
import { type EventLoopResult, measureEventLoop } from './event-loop.ts';
import { type RestartsResult, stressRestarts } from './restarts.ts';

/** The most that the event loop may wait, as a part of what it waits for synchronous calls. */
export const MAX_SHARE: number = 1 / 20;

const SESSIONS = 4;
const SIGNATURES = 64;
const SIZES = { full: { rounds: 25, restarts: 15 }, quick: { rounds: 5, restarts: 3 } } as const;
/** What a call may be refused with while the token is away. */
const AWAY = new Set(['ERR_KMS_UNAVAILABLE', 'ERR_KMS_TIMEOUT']);

export interface HsmResult {
  readonly eventLoop: EventLoopResult;
  readonly restarts: RestartsResult;
}

/** A token signs beside the event loop, and through its restarts. */
export const hsmRun: StressRun = {
  name: 'hsm',

  async run({ size, progress }) {
    const { rounds, restarts } = SIZES[size];
    const token = await startSoftHsm();
    const { library, label: slot, pin } = token;
    const open = (path: string) => pkcs11Provider({ id: 'hsm', library: path, slot, pin, sessions: SESSIONS });
    try {
      const local = open(library);
      const rsa = await local.createKey({ tenantId: 'acme', keyId: 'k1', alg: 'RS256' });
      const bare = new BareHsm(token, 1);
      const eventLoop = await measureEventLoop({ provider: local, bare, key: rsa, signatures: SIGNATURES, rounds });
      bare.close();
      await local.close();
      progress('the event loop is measured');

      const remote = await startRemoteToken(token);
      const provider = open(remote.library);
      const key = await provider.createKey({ tenantId: 'acme', keyId: 'k2' });
      const onRestart = (restart: number): void => progress(`restart ${restart} of ${restarts}`);
      const outcome = await stressRestarts({ provider, key, token: remote, callers: SIGNATURES, restarts, onRestart });
      await provider.close();
      await remote.kill();
      const result = { eventLoop, restarts: outcome };
      return { section: hsmSection(result), problems: hsmProblems(result) };
    } finally {
      await token.stop();
    }
  },
};

export function hsmProblems({ eventLoop, restarts }: HsmResult): string[] {
  const share = eventLoop.share.median;
  const { wrong, stuck, refused } = restarts;
  return [
    ...(share <= MAX_SHARE
      ? []
      : [`the event loop waits for ${percent(share)} of what it waits for synchronous calls`]),
    ...(wrong === 0 ? [] : [`${wrong} signatures were wrong`]),
    ...(stuck === 0 ? [] : [`${stuck} callers did not sign again after a restart`]),
    ...Object.keys(refused)
      .filter((code) => !AWAY.has(code))
      .map((code) => `calls were refused with ${code}`),
  ];
}

export function hsmSection({ eventLoop, restarts }: HsmResult): string {
  const { delay, blocked, share, signatures } = eventLoop;
  const refused = Object.values(restarts.refused).reduce((sum, calls) => sum + calls, 0);
  return `## An HSM

${signatures} callers sign at once in SoftHSM with an RSA key of 3,072 bits, on ${SESSIONS} sessions, and then ${signatures} synchronous calls of pkcs11js
do so one after the other; meanwhile \`monitorEventLoopDelay\` looks on. Then SoftHSM is served over a socket by a process of its own, ${restarts.callers} callers
sign with ES256 without a pause, and that process is killed (SIGKILL) and started again, up to 3 seconds later. Every
signature is verified.

| what | result |
| :--- | ---: |
| event-loop delay with synchronous calls, p99 | ${milliseconds(blocked)} |
| event-loop delay with the provider, p99 | ${milliseconds(delay)} |
| as a part of the former | ${percent(share.median)} (${percent(share.p25)}–${percent(share.p75)}), at most ${percent(MAX_SHARE)} |
| restarts | ${restarts.restarts} |
| signatures | ${count(restarts.signed)} |
| of them wrong | ${count(restarts.wrong)} |
| calls that were refused while the token was away | ${count(refused)} |
| callers that did not sign again within 1.5 seconds | ${restarts.stuck} |
| longest call | ${count(Math.round(restarts.slowestMs))} ms |

Delays are medians over ${eventLoop.rounds} rounds, in parentheses the range of the middle half.`;
}

function milliseconds({ p25, median, p75 }: Spread): string {
  return `${median.toFixed(1)} ms (${p25.toFixed(1)}–${p75.toFixed(1)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
