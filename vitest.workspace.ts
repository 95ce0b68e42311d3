import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string): string => fileURLToPath(new URL(`packages/${path}`, import.meta.url));

const project = (folder: string, isolate = true) => ({
  extends: true as const,
  test: { name: folder.replace(/^.*\//, ''), root: folder, include: ['test/**/*.test.ts'], isolate },
});

/** What the envelope has to do on every runtime, on the one without `node:crypto`. */
const portable = {
  extends: true as const,
  resolve: { alias: [{ find: /^.*\/runtime\/node\.ts$/, replacement: source('envelope/src/runtime/portable.ts') }] },
  test: {
    name: 'envelope-portable',
    env: { KEYWRIGHT_RUNTIME: 'portable' },
    root: 'packages/envelope',
    include: [
      'base64',
      'conformance',
      'fuzz/fuzz',
      'interop',
      'malformed',
      'malformed-text',
      'property',
      'stream/header',
      'stream/round-trip',
      'stream/tamper',
      'tamper',
      'vectors',
    ].map((name) => `test/${name}.test.ts`),
  },
};

export default defineConfig({
  resolve: {
    // Unit tests run on the sources; what is published is tested as packed, by check:packages and the examples.
    alias: {
      '@keywright/envelope/aes-kwp': source('envelope/src/aes-kwp.ts'),
      '@keywright/envelope/codecs': source('envelope/src/codecs'),
      '@keywright/envelope/columns': source('envelope/src/columns/index.ts'),
      '@keywright/envelope/compat': source('envelope/src/compat/index.ts'),
      '@keywright/envelope/conformance': source('envelope/src/conformance/index.ts'),
      '@keywright/envelope/libsodium': source('envelope/src/libsodium.ts'),
      '@keywright/envelope/xchacha20-poly1305': source('envelope/src/xchacha20-poly1305.ts'),
      '@keywright/envelope/migrate': source('envelope/src/migrate/index.ts'),
      '@keywright/envelope/node-stream': source('envelope/src/node-stream.ts'),
      '@keywright/envelope/stream': source('envelope/src/stream.ts'),
      '@keywright/envelope/sources': source('envelope/src/sources/index.ts'),
      '@keywright/envelope': source('envelope/src/index.ts'),
      '@keywright/kms-aws': source('kms-aws/src/index.ts'),
      '@keywright/kms-pkcs11': source('kms-pkcs11/src/index.ts'),
      '@keywright/kms/conformance': source('kms/src/conformance/index.ts'),
      '@keywright/kms/x509': source('kms/src/x509/index.ts'),
      '@keywright/kms': source('kms/src/index.ts'),
      '@keywright/secrets/audit': source('secrets/src/audit/index.ts'),
      '@keywright/secrets/conformance': source('secrets/src/conformance/index.ts'),
      '@keywright/secrets/opentelemetry': source('secrets/src/opentelemetry.ts'),
      '@keywright/secrets': source('secrets/src/index.ts'),
      '@keywright/testkit/aws': source('testkit/src/aws.ts'),
      '@keywright/testkit/engines': source('testkit/src/engines.ts'),
      '@keywright/testkit/hsm': source('testkit/src/hsm.ts'),
      '@keywright/testkit/kms': source('testkit/src/kms.ts'),
      '@keywright/testkit/vault': source('testkit/src/vault.ts'),
      '@keywright/testkit': source('testkit/src/index.ts'),
    },
  },
  test: {
    // One PostgreSQL for the whole run.
    globalSetup: [source('testkit/src/vitest.ts')],
    // By default one core is left idle, of two.
    maxWorkers: availableParallelism(),
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: process.env.KEYWRIGHT_REPORT ? ['default', 'json'] : ['default'],
    ...(process.env.KEYWRIGHT_REPORT ? { outputFile: { json: process.env.KEYWRIGHT_REPORT } } : {}),
    projects: [
      project('packages/envelope'),
      portable,
      project('packages/secrets'),
      project('packages/kms'),
      project('packages/kms-aws', false), // loading the SDK for each file costs more than its tests
      project('packages/kms-pkcs11'),
      project('packages/testkit'),
      project('packages/bench'),
      project('examples/quickstart'),
      project('examples/kms-signing'),
      project('scripts'),
    ],
  },
});
