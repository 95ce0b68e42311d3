import type { Options } from 'tsup';

const options: Options = {
  entry: ['src/index.ts'],
  format: 'esm',
  target: 'node22',
  dts: true,
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
  // tsup takes optional dependencies for its own.
  external: ['pkcs11js'],
};

export default options;
