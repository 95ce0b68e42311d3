import type { SignAlg } from '../algorithms.ts';
import type { PrivateJwk } from '../jwk.ts';

// Printed here for everyone to read: never to be used outside of tests.
const ES256: PrivateJwk = {
  kty: 'EC',
  x: 'lQ54bI7Thuv3f4_O-eMzpHWw1fZwZze6IVWYXKT0MQI',
  y: 'o-za9CA-7yaA0hNS0KyfOAHLOOMIqL3rUje9XrTdVcw',
  crv: 'P-256',
  d: 'vV4RlQESYhxkkBTZXvRKgAt8lvhjatljJJ-plIvpoGg',
} as const;
const ES384: PrivateJwk = {
  kty: 'EC',
  x: 'O0zK793Nf3Ca37YbpNf9PPvTvhcAwQ8vJmCC62giEdCp45lgAMzUBPGb4uZRR7Vo',
  y: 'FJG-FxDfaMXxzdLfllse1qkeIZ7HJIAJMTZDqvDiosmVFU8__6gDbPUX9dXPt_CG',
  crv: 'P-384',
  d: 'T-YfdvPKVRzxcAAENyEi3gFfn3sdLpc0M1TtT89ALcx7Pzf4_xcq-OcQemDOGP1e',
} as const;
const ES512: PrivateJwk = {
  kty: 'EC',
  x: 'AehWACDyBf9nSRH1M0w4lU0it3VBFFXfYT7bjW8nB6mcyP8amCLEXQptVBA5oWyjBmXqLuHoLUJWwNyQslAuTByk',
  y: 'AR3ErwUJzCXAU-4cCB9k59sNa1oLwvHMktME5zkRt6TvnUswhFW1_pevSu2_AoAb8Idicb2ZqbTxJvBB0DMSakIj',
  crv: 'P-521',
  d: 'AFiKaGB_Cx8bqOLLmS9g6dccGas6L9j_GVN6e9KN_vVyuiGn5c0h2FSLtpY1RLrvtS5erkXtTaoV0REiEi1SBPcO',
} as const;
const EDDSA: PrivateJwk = {
  crv: 'Ed25519',
  d: 'OXBuh_g41tcZOoCelgf99tYY8g7XzYtV6KWnUDtaGHY',
  x: 'IllfIxeFJbzsBjgbLkw3xuveKybhHeIP8NaB5DGHbLg',
  kty: 'OKP',
} as const;
const RSA: PrivateJwk = {
  kty: 'RSA',
  n: 'kdb-E5bTq4bzq2_84_ezw70y5dD4iT7SwMtG_S4X65-6Yme2AYdYuakKJbIIeZFn7WPW6FDailY0RgCgwdUS-StsKuAx6_9bUDcJ7q71S7HoZgdqHt3V9YF3AEL7RNVNqKaFWKXMovqtpXFZxU3duHYYEZdW5T0eNTDd0vlNoOl4D-xlXYul6ul4rQWIN79mAsmwfKAt1c33VbGiQM5Tqi31QMsrtXHSYOo0D7wAPvHjnX77t30auy6Jg1eDE6QtbBj8OnqJACRq1Zs9147J0ght6xMFAwWM9mRd6rtjc7EF0_wJVe92zfJyBX4KKGnRNE8mMl9ARQCcNDtqdhwPfQ',
  e: 'AQAB',
  d: 'PSebtGgvS4KUBEQ6FfglRAO-55rI1XhoFNtI4drlwfLhS-l0a1Cvlm75Z9QvdJbSLzwJ_rIE6jR6yA30W0N3qM-aFKKdnHogdtMVkaaBCuRH8RzT1aytTz0iQxRTXEpbvchSK1mfJYqbrUAKZk-gFX1D24CMOiV2WNSseA79i-co0bU89NmT66-o7OcEgXDUx_XAqtYip21upP9titC05DpPr8nP30Oxx0E_k8SlquQceibre5ZUxam7onyPyldr_qO19WqUTPONyyf1jFeZOGvyomG6POTFLws2wURhj4-P40--TRBG_tswagKBOBnc2MDY7rwC2unCCfvv5_9eKw',
  p: 'xS0subukilVmwM4AeYL2K1gn1cvBEtEJYyabu3iGvJWX71c2VjXRpQyZZHp76GV1sOC2sfmg5njl2NQ0zzvj1vlQDtUFUhWLreOUz-8EnNBjFf8r9GzWTIwghBlu7Q_YCK4aHkYaf3PhjTcEJg5WEE-hWYhkqjxT0sXda7vcMCs',
  q: 'vVkeUU4ktlxjWjbHv9CYCsFDeqwJ5n-AZ1q7Y3FepMxCe9gLlHs1p9J2yCYx-yJ1hTL9lalnxwbvjauZOoGpVb6XYfevcoxh6QYS9hPTrGOb-L-Bw4nH9lO_AaQSRDCq-xTGC608x9oAW0NwxhiaxVEmV9bdjJyzGAIxW1r7wvc',
  dp: 'GxMb7BkG-_PEGz9uM0E3WjZNqf7DcTkA5_t6MODY53ZHGZdJH8deFSLIwVJMR1n_Mh15GLElVeBN91sUMUyQ-YjcZFz90QqiVmtEmNTCNmIq6O9T8skrF_G52UnAwI6HZJG7hmKr6spXs1NVn4AiczTr--ZNpE6KWAvRXqS6FGc',
  dq: 'erEehgyemVPwROquMEqX2pA0i26i06rWpyIRvnQdoaeBhQIPLt1PfTlRIowtYs-HWxIZYzrsNfj2jNQea9zMvvTK3v5Bv3Xbk8UN0Eo0pMW-sUZWbUAAREsrv4JzG6B1ilCBq9tLQSyvgnOGxbX3w9e7gruFv7FiEzKIjOu9qy0',
  qi: 'Wx6ogz4_SvgNXSg7TyA0Rw9j4nPfU3CjMmzcK9p0gPeJnPQGetaUsv-fThyKyTl3ANRlnXbA1FUlVnLjR1M8EC6vSZJ-UKO4Pzt04ckbh5Cf4AytIH9j1wlCClU7Q9tjU6aLfGGxG_xObgHf06fo9YgDna_fyhHUNCNtloAQykk',
} as const;

/** A private key that is known to everyone, to be imported and searched for. */
export function sampleKey(alg: SignAlg): PrivateJwk {
  if (alg === 'ES256') return ES256;
  if (alg === 'ES384') return ES384;
  if (alg === 'ES512') return ES512;
  return alg === 'EdDSA' ? EDDSA : RSA;
}
