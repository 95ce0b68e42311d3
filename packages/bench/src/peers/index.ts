import { awsEncryptionSdk } from './aws-encryption-sdk.ts';
import { cloak } from './cloak.ts';
import { iron } from './iron.ts';
import { jose } from './jose.ts';
import { libsodium } from './libsodium.ts';
import { nobleGcm, nobleXChaCha } from './noble.ts';
import type { Peer } from './peer.ts';

export const peers: readonly Peer[] = [jose, cloak, iron, awsEncryptionSdk, nobleGcm, nobleXChaCha, libsodium];
