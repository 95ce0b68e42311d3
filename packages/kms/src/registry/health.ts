import { isKeywrightError } from '@keywright/envelope';
import { KmsError, type KmsErrorCode, messageOf } from '../errors.ts';
import { checkCallOptions } from '../internal/calls.ts';
import type { KmsHealth, KmsProvider } from '../provider.ts';
import type { HealthOptions } from './registry.ts';

const TIMEOUT_MS = 5_000;

/** Asks all at once; see {@link KmsProviders.health}. */
export async function healthOf(
  providers: readonly KmsProvider[],
  options: HealthOptions = {},
): Promise<readonly KmsHealth[]> {
  const { signal, timeoutMs = TIMEOUT_MS } = checkCallOptions(options);
  const { promise: ended, reject } = Promise.withResolvers<never>();
  ended.catch(() => {}); // raced by each below, if there is one
  const timer = setTimeout(() => reject(new KmsError('ERR_KMS_TIMEOUT')), timeoutMs);
  const abort = (): void => reject(new KmsError('ERR_KMS_ABORTED'));
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return Object.freeze(await Promise.all(providers.map((provider) => ask(provider, { signal, timeoutMs }, ended))));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** Providers may be anybody's: one that throws, hangs or answers with something else is not well. */
async function ask(provider: KmsProvider, options: HealthOptions, ended: Promise<never>): Promise<KmsHealth> {
  const { id: providerId, type } = provider;
  const start = performance.now();
  const report = (ok: boolean, latencyMs: unknown, code?: KmsErrorCode): KmsHealth =>
    Object.freeze({
      providerId,
      type,
      ok,
      latencyMs: Number.isSafeInteger(latencyMs) ? (latencyMs as number) : Math.round(performance.now() - start),
      ...(code === undefined ? {} : { code, error: `${code}: ${messageOf(code)}` }),
    });
  try {
    const answer: unknown = await Promise.race([(async () => await provider.health(options))(), ended]);
    const { ok, latencyMs, code } = Object(answer) as Partial<Record<keyof KmsHealth, unknown>>;
    return ok === true ? report(true, latencyMs) : report(false, latencyMs, knownCode(code));
  } catch (error) {
    return report(false, undefined, knownCode(isKeywrightError(error) ? error.code : undefined));
  }
}

function knownCode(code: unknown): KmsErrorCode {
  const isKnown = typeof code === 'string' && typeof messageOf(code as KmsErrorCode) === 'string';
  return isKnown ? (code as KmsErrorCode) : 'ERR_KMS_BACKEND';
}
