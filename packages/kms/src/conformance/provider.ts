import { afterAll, beforeAll, describe, it } from 'vitest';
import { checksOf } from './checks.ts';
import { type KmsHarness, type KmsSetup, Subject } from './harness.ts';

const TIMEOUT_MS = 60_000;

/**
 * Registers the tests that every {@link KmsProvider} has to pass, in a vitest file: signatures that other code verifies,
 * tenants that do not meet, keys that are gone when deleted, refusals by code, calls that end in time, and no private key
 * or credential anywhere. What the harness does not declare is named in a title and must be refused.
 *
 * Requests are the same in every run where the setup gives `names` (and `wrappingKey`), so a backend can be recorded.
 *
 * @example
 * ```ts
 * import { defineProvider, type KmsDriver } from '@keywright/kms';
 * import { kmsConformance } from '@keywright/kms/conformance';
 *
 * export function testDriver(driver: KmsDriver): void {
 *   kmsConformance('of our own', {
 *     capabilities: driver.capabilities,
 *     async start() {
 *       const provider = defineProvider(driver, { id: 'own' });
 *       return { provider, secrets: ['the token'], dispose: () => provider.close() };
 *     },
 *   });
 * }
 * ```
 */
export function kmsConformance(name: string, harness: KmsHarness): void {
  describe(`kms provider ${name}`, () => {
    let setup: KmsSetup | undefined;
    beforeAll(async () => {
      setup = await harness.start();
    }, TIMEOUT_MS);
    afterAll(async () => {
      await setup?.dispose();
    }, TIMEOUT_MS);

    for (const [theme, checks] of checksOf(harness)) {
      describe(theme, () => {
        for (const { title, run } of checks) {
          it(
            title,
            async () => {
              if (setup === undefined) throw new Error('The harness was not started.');
              await run(new Subject(harness, setup));
            },
            TIMEOUT_MS,
          );
        }
      });
    }
  });
}
