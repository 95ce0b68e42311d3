import { createKmsRegistry, type KmsHealth, type KmsProvider } from '@keywright/kms';
import { describe, expect, it } from 'vitest';
import { MINIMAL, methodsOf, refusal, shown, thirdParty } from './support.ts';

const CANARY = 'canary-99d1f0';

/** A third party's provider with a health of its own. */
function provider(id: string, over: Partial<KmsProvider> = {}): KmsProvider {
  return thirdParty('cloud', (made) => ({ ...methodsOf(made), ...over })).create({ ...MINIMAL, id }, {});
}

const answer = (health: unknown) => ({ health: async () => health as KmsHealth });
const hang = (): Promise<never> => new Promise(() => {});

describe('health', () => {
  it('reports each provider, whatever the others do', async () => {
    const registry = createKmsRegistry({
      defaultProvider: 'good',
      providers: [
        provider('hangs', { health: hang }),
        provider('throws', {
          health: () => {
            throw new Error(CANARY);
          },
        }),
        provider('rejects', { health: () => Promise.reject(new Error(CANARY)) }),
        provider('silent', answer(undefined)),
        provider('lies', answer({ providerId: 'good', type: CANARY, ok: CANARY, latencyMs: CANARY, error: CANARY })),
        provider('denied', answer({ ok: false, latencyMs: 7, code: 'ERR_KMS_DENIED', error: CANARY, more: CANARY })),
        provider('unknown', answer({ ok: false, latencyMs: 7, code: 'toString' })),
        provider('alike', answer({ ok: false, code: { toString: () => 'ERR_KMS_DENIED', more: CANARY } })),
        provider('good'),
      ],
    });
    const start = performance.now();
    const health = await registry.health({ timeoutMs: 150 });
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(health.map(({ providerId, type, ok, code }) => [providerId, type, ok, code])).toEqual([
      ['hangs', 'cloud', false, 'ERR_KMS_TIMEOUT'],
      ['throws', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['rejects', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['silent', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['lies', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['denied', 'cloud', false, 'ERR_KMS_DENIED'],
      ['unknown', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['alike', 'cloud', false, 'ERR_KMS_BACKEND'],
      ['good', 'cloud', true, undefined],
    ]);
    expect(health[0]?.latencyMs).toBeGreaterThanOrEqual(140);
    expect(health[5]).toEqual({
      providerId: 'denied',
      type: 'cloud',
      ok: false,
      latencyMs: 7,
      code: 'ERR_KMS_DENIED',
      error: expect.stringMatching(/^ERR_KMS_DENIED: /),
    });
    expect(Object.keys(health.at(-1) ?? {})).toEqual(['providerId', 'type', 'ok', 'latencyMs']);
    expect(shown(health)).not.toContain(CANARY);
  });

  it('asks all at once', async () => {
    const slow = () =>
      new Promise<KmsHealth>((resolve) => setTimeout(resolve, 100, { ok: true, latencyMs: 100 } as KmsHealth));
    const providers = Array.from({ length: 20 }, (_, index) => provider(`p${index}`, { health: slow }));
    const start = performance.now();
    const health = await createKmsRegistry({ providers, defaultProvider: 'p0' }).health();
    expect(health.filter(({ ok }) => ok)).toHaveLength(20);
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it('ends with the caller’s signal, with what has answered by then', async () => {
    const registry = createKmsRegistry({
      providers: [provider('good'), provider('hangs', { health: hang })],
      defaultProvider: 'good',
    });
    const codes = async (signal: AbortSignal) => (await registry.health({ signal })).map(({ code }) => code);
    expect(await codes(AbortSignal.timeout(50))).toEqual([undefined, 'ERR_KMS_ABORTED']);
    expect((await codes(AbortSignal.abort()))[1]).toBe('ERR_KMS_ABORTED');
  });

  it('passes its limits on, and refuses wrong ones', async () => {
    let given: unknown;
    const asked = provider('main', {
      health: async (options) => {
        given = options;
        return { providerId: 'main', type: 'cloud', ok: true, latencyMs: 0 };
      },
    });
    const registry = createKmsRegistry({ providers: [asked] });
    await registry.health();
    expect(given).toEqual({ timeoutMs: 5_000, signal: undefined });
    for (const options of [{ timeoutMs: 0 }, { timeoutMs: '5' }, { signal: {} }, 5, null]) {
      expect(await refusal(registry.health(options as never))).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
  });

  it('says that a provider is closed', async () => {
    const registry = createKmsRegistry({ providers: [provider('main')] });
    await registry.close();
    expect(await registry.health()).toMatchObject([{ ok: false, code: 'ERR_KMS_CLOSED' }]);
  });
});

describe('close', () => {
  const closed: string[] = [];
  const closing = (id: string) => provider(id, { close: async () => void closed.push(id) });
  const failing = (id: string) => provider(id, { close: () => Promise.reject(new Error(CANARY)) });

  it('closes all, also when one cannot be closed, and says which', async () => {
    const registry = createKmsRegistry({ providers: [closing('a'), failing('b'), closing('c')], defaultProvider: 'a' });
    const error = await refusal(registry.close());
    expect(error).toMatchObject({ code: 'ERR_KMS_BACKEND', context: { provider: 'b', operation: 'close' } });
    expect(shown(error)).not.toContain(CANARY);
    expect(closed).toEqual(['a', 'c']);
    expect(await refusal(registry.close())).toBe(error);
    expect(closed).toEqual(['a', 'c']);
  });

  it('tells of several that cannot be closed', async () => {
    const registry = createKmsRegistry({ providers: [failing('a'), failing('b')], defaultProvider: 'a' });
    const error = (await registry.close().catch((caught: unknown) => caught)) as AggregateError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.errors.map(({ context }) => context.provider)).toEqual(['a', 'b']);
    expect(shown(error)).not.toContain(CANARY);
  });
});

it('a registry that cannot be made closes what it made of it', async () => {
  const closed: string[] = [];
  const type = thirdParty('cloud', (made) => ({ ...methodsOf(made), close: async () => void closed.push(made.id) }));
  const failing = { ...thirdParty('other'), create: () => undefined as never };
  const config = {
    defaultProvider: 'b',
    providers: [MINIMAL, { ...MINIMAL, id: 'b' }, { ...MINIMAL, id: 'c', type: 'other' }],
  };
  await refusal(() => createKmsRegistry({ config, types: [type, failing] }));
  expect(closed).toEqual(['main', 'b']);
});
