import { afterAll, beforeAll, describe } from 'vitest';
import { type AwsKmsServer, startAwsKms } from './aws-kms.ts';
import { miniStackIsAtHand } from './ministack.ts';
import { motoIsAtHand, startMoto } from './moto.ts';
import type { TestServer } from './postgres.ts';
import { required } from './requirement.ts';

export { type AwsKmsAnswer, type AwsKmsRequest, type AwsKmsServer, refusal, startAwsKms } from './aws-kms.ts';

const INSTALL_TIMEOUT_MS = 240_000;

/**
 * Registers `define` as a suite on a moto server of its own, started before its first test; the server that
 * `KEYWRIGHT_TEST_MOTO_URL` names is shared, so take names that nobody else takes. Where moto would have to be installed
 * first, that is done if `KEYWRIGHT_REQUIRE` names `moto`; else the suite is skipped under a title that says why.
 */
export function describeOnMoto(title: string, define: (url: () => string) => void): void {
  if (!motoIsAtHand() && !required('moto')) {
    describe.skip(`${title} on moto (not installed here; KEYWRIGHT_REQUIRE=moto installs it)`, () => define(() => ''));
    return;
  }
  describe(`${title} on moto`, () => {
    let server: TestServer;
    beforeAll(async () => {
      server = await startMoto();
    }, INSTALL_TIMEOUT_MS);
    afterAll(() => server.stop());
    define(() => server.url);
  });
}

/** Registers `define` as a suite on an AWS KMS of its own ({@link startAwsKms}), as {@link describeOnMoto} does. */
export function describeOnAwsKms(title: string, define: (server: () => AwsKmsServer) => void): void {
  if (!awsKmsIsAtHand()) {
    const why = 'not installed here; KEYWRIGHT_REQUIRE=moto,ministack installs them';
    describe.skip(`${title} on moto and MiniStack (${why})`, () => define(missing));
    return;
  }
  describe(`${title} on moto and MiniStack`, () => {
    let server: AwsKmsServer;
    beforeAll(async () => {
      server = await startAwsKms();
    }, INSTALL_TIMEOUT_MS);
    afterAll(() => server.stop());
    define(() => server);
  });
}

/** Whether {@link startAwsKms} may be called: both emulators are there, or asked for. */
export function awsKmsIsAtHand(): boolean {
  return (motoIsAtHand() || required('moto')) && (miniStackIsAtHand() || required('ministack'));
}

function missing(): never {
  throw new Error('This suite is skipped: there is no server.');
}
