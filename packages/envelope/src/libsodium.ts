export { type LibsodiumSuites, loadLibsodium, type Sodium } from './suites/libsodium.ts';
