import { gcm } from '@noble/ciphers/aes.js';
import { NobleKey } from './noble-key.ts';
import type { Suite } from './suite.ts';

/** AES-256-GCM by @noble/ciphers, for runtimes without `node:crypto`. */
export const A256GCM: Suite = {
  id: 'A256GCM',
  implementation: '@noble/ciphers',
  importKey: (key) => new NobleKey('A256GCM', gcm, key),
};
