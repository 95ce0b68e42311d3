import { createSecretKey } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import { Fixtures } from '../fixtures.ts';
import { rawRoundTrip } from '../peers/raw-gcm.ts';
import { PAYLOAD_SIZES, type Size } from '../sizes.ts';
import type { Case, Contender, Suite } from '../suite.ts';

const IDS = 1024;

const about = `One round trip of bytes, as for a \`bytea\` column.

- **raw AES-GCM**, the baseline: \`node:crypto\` under a \`KeyObject\` and a random nonce. Ciphertext, nonce and tag are
  left where they are, so it is a limit rather than a format.
- **keywright v2**: \`keyring.encryptBytes\` and \`keyring.decryptBytes\`, each with a new context of four pairs; one
  buffer that holds everything.`;

/** Bytes envelopes against the cipher alone. */
export const envelopeBytes: Suite = {
  name: 'envelope-bytes',
  title: 'Bytes envelopes',
  about,
  operation: 'round trip',
  cases: () => PAYLOAD_SIZES.map(caseOf),
};

function caseOf({ name, bytes }: Size): Case {
  const fixtures = new Fixtures(bytes);
  const plaintext = fixtures.bytes(bytes);
  const keyBytes = fixtures.bytes(32);
  const key = createSecretKey(keyBytes);
  return {
    name,
    bytes,
    contenders: [
      { name: 'raw AES-GCM', role: 'baseline', expected: plaintext, run: () => rawRoundTrip(key, plaintext) },
      keywright(fixtures, keyBytes, plaintext),
    ],
  };
}

function keywright(fixtures: Fixtures, key: Buffer, plaintext: Buffer): Contender {
  const keyring = createKeyring({ keys: { '2026-11': key }, activeKid: '2026-11' });
  const ids = Array.from({ length: IDS }, () => fixtures.uuid());
  let calls = 0;
  return {
    name: 'keywright v2',
    role: 'subject',
    expected: plaintext,
    run() {
      const id = ids[calls++ % IDS] as string;
      const envelope = keyring.encryptBytes(plaintext, {
        context: { table: 'files', column: 'content', tenant: 'acme', id },
      });
      return keyring.decryptBytes(envelope, {
        context: { table: 'files', column: 'content', tenant: 'acme', id },
      });
    },
  };
}
