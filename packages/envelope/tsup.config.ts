import type { Options } from 'tsup';

const both: readonly string[] = [
  'src/index.ts',
  'src/compat/index.ts',
  'src/xchacha20-poly1305.ts',
  'src/libsodium.ts',
  'src/stream.ts',
];
const nodeOnly: readonly string[] = [
  'src/bin/keygen.ts',
  'src/aes-kwp.ts',
  'src/node-stream.ts',
  'src/columns/index.ts',
  ...['drizzle', 'knex', 'kysely', 'mongoose', 'objection', 'prisma', 'typeorm'].map((name) => `src/codecs/${name}.ts`),
  'src/migrate/index.ts',
  'src/sources/index.ts',
  'src/conformance/index.ts',
];

/** Puts runtime/portable.ts in the place of its sibling. */
const portable: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'portable-runtime',
  setup({ onResolve }) {
    onResolve({ filter: /\/runtime\/node\.ts$/ }, (args) => ({
      path: `${args.resolveDir}/${args.path}`.replace(/\/runtime\/node\.ts$/, '/runtime/portable.ts'),
    }));
  },
};

const common: Options = { format: 'esm', target: 'node22', sourcemap: true, clean: true, removeNodeProtocol: false };

/** What lies in a folder is called by it: src/a/index.ts → a.js, src/b.ts → b.js. */
function entries(files: readonly string[]): Record<string, string> {
  return Object.fromEntries(files.map((file) => [file.replace(/^src\/|\.ts$/g, ''), file]));
}

const options: Options[] = [
  {
    ...common,
    entry: entries([...both, ...nodeOnly]),
    outDir: 'dist/node',
    dts: { entry: entries([...both, ...nodeOnly].filter((file) => !file.includes('/bin/'))) },
    external: ['libsodium-wrappers'],
  },
  {
    ...common,
    entry: entries(both),
    outDir: 'dist/portable',
    platform: 'neutral',
    target: 'es2022',
    esbuildPlugins: [portable],
    external: ['libsodium-wrappers'],
  },
];

export default options;
