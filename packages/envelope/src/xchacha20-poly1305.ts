export { xchacha20Poly1305 } from './suites/xchacha20-poly1305.ts';
