import type { Options } from 'tsup';

const options: Options = {
  entry: ['src/index.ts', 'src/engines.ts', 'src/aws.ts', 'src/hsm.ts', 'src/kms.ts', 'src/vault.ts', 'src/vitest.ts'],
  format: 'esm',
  target: 'node22',
  dts: true,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
};

export default options;
