import type { Options } from 'tsup';

const options: Options = {
  entry: ['src/index.ts', 'src/compat/index.ts', 'src/bin/keygen.ts'],
  format: 'esm',
  target: 'node22',
  dts: { entry: ['src/index.ts', 'src/compat/index.ts'] },
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
};

export default options;
