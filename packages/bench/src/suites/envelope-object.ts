import { createSecretKey } from 'node:crypto';
import { Fixtures } from '../fixtures.ts';
import { keywright as keywrightCodecs } from '../keywright.ts';
import { handRolled, handRolledConcat } from '../peers/hand-rolled.ts';
import { rawRoundTrip } from '../peers/raw-gcm.ts';
import { Rows } from '../rows.ts';
import { PAYLOAD_SIZES, type Size } from '../sizes.ts';
import type { Case, Contender, Suite } from '../suite.ts';

const about = `One round trip: a value becomes an object that a \`jsonb\` column can hold, and the value again. The values are
credentials of OAuth connections, string fields only, of exactly that many bytes of JSON.

- **hand-rolled**, the baseline: \`JSON.stringify\`, AES-256-GCM by \`node:crypto\` under a \`KeyObject\` and a random
  nonce, base64, and back, without a copy too many. Its ciphertext is bound to nothing and names no key.
- **hand-rolled, concat**: the same with \`Buffer.concat\` around \`update\` and \`final\`, as most tutorials have it.
- **hand-rolled, Buffer key**: the same as the baseline with the key's bytes in place of the \`KeyObject\`.
- **keywright v2**: \`keyring.encrypt\` and \`keyring.decrypt\`, each with a new context of four pairs.
- **raw AES-GCM**: the same bytes without JSON and base64; what the cipher alone takes.

Not in the figures: a process derives a key when it first reads what another process has written, and a new one of its
own each hour or 2^20 messages (one HKDF-SHA-512 each time).`;

/** JSON round trips against what applications write by hand. */
export const envelopeObject: Suite = {
  name: 'envelope-object',
  title: 'Object envelopes',
  about,
  operation: 'round trip',
  cases: () => PAYLOAD_SIZES.map(caseOf),
};

function caseOf({ name, bytes }: Size): Case {
  const fixtures = new Fixtures(bytes);
  const value = fixtures.credentials(bytes);
  const json = Buffer.from(JSON.stringify(value));
  const keyBytes = fixtures.bytes(32);
  const key = createSecretKey(keyBytes);
  return {
    name,
    bytes,
    contenders: [
      { name: 'raw AES-GCM', role: 'limit', expected: json, run: () => rawRoundTrip(key, json) },
      {
        name: 'hand-rolled',
        role: 'baseline',
        expected: value,
        run: () => handRolled.open(key, handRolled.seal(key, value)),
      },
      {
        name: 'hand-rolled, concat',
        role: 'peer',
        expected: value,
        run: () => handRolledConcat.open(key, handRolledConcat.seal(key, value)),
      },
      {
        name: 'hand-rolled, Buffer key',
        role: 'peer',
        expected: value,
        run: () => handRolled.open(keyBytes, handRolled.seal(keyBytes, value)),
      },
      keywright(fixtures, keyBytes, value),
    ],
  };
}

function keywright(fixtures: Fixtures, key: Buffer, value: object): Contender {
  const codec = keywrightCodecs(key).object;
  const rows = new Rows(fixtures);
  return {
    name: 'keywright v2',
    role: 'subject',
    maxRatio: 1.25,
    expected: value,
    run: () => codec.open(codec.seal(value, rows.next()), rows.same()),
  };
}
