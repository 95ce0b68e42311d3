import { createSecretKey } from 'node:crypto';
import { Fixtures } from '../fixtures.ts';
import { keywright as keywrightCodecs } from '../keywright.ts';
import { rawGcm, rawRoundTrip } from '../peers/raw-gcm.ts';
import { Rows } from '../rows.ts';
import { PAYLOAD_SIZES, type Size } from '../sizes.ts';
import type { Case, Contender, Suite } from '../suite.ts';

/** By bytes of payload. A short message is mostly what surrounds it, so it has none. */
const BUDGETS = new Map([
  [4 * 1024, 1.4],
  [64 * 1024, 1.25],
  [1024 * 1024, 1.25],
]);

const about = `One round trip of bytes, as for a \`bytea\` column.

- **raw AES-GCM**, the baseline: \`node:crypto\` under a \`KeyObject\` and a random nonce, put together in one buffer, as
  a column needs it.
- **raw, in parts**: the same with ciphertext, nonce and tag left where they are. What the cipher takes, and no format.
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
      { name: 'raw, in parts', role: 'limit', expected: plaintext, run: () => rawRoundTrip(key, plaintext) },
      {
        name: 'raw AES-GCM',
        role: 'baseline',
        expected: plaintext,
        run: () => rawGcm.open(key, rawGcm.seal(key, plaintext)),
      },
      keywright(fixtures, keyBytes, plaintext),
    ],
  };
}

function keywright(fixtures: Fixtures, key: Buffer, plaintext: Buffer): Contender {
  const codec = keywrightCodecs(key).bytes;
  const rows = new Rows(fixtures);
  const maxRatio = BUDGETS.get(plaintext.length);
  return {
    name: 'keywright v2',
    role: 'subject',
    ...(maxRatio === undefined ? {} : { maxRatio }),
    expected: plaintext,
    run: () => codec.open(codec.seal(plaintext, rows.next()), rows.same()),
  };
}
