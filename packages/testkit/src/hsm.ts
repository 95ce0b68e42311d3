import { afterAll, beforeAll, describe } from 'vitest';
import { type RemoteToken, remoteTokenLibrary, startRemoteToken } from './remote-token.ts';
import { requireOrSkip } from './requirement.ts';
import { nssLibrary, softHsmLibrary, startNss, startSoftHsm, type TestToken } from './tokens.ts';

/** A token that a suite runs on. */
export interface TokenKind {
  readonly name: 'SoftHSM' | 'NSS';
  start(): Promise<TestToken>;
}

const SOFTHSM: TokenKind = { name: 'SoftHSM', start: startSoftHsm };
const NSS: TokenKind = { name: 'NSS', start: startNss };
const KINDS: readonly TokenKind[] = [SOFTHSM, NSS];

/** Registers `define` as a suite on a SoftHSM token of its own, or skips it under a title that says why. */
export function describeOnSoftHsm(title: string, define: (token: () => TestToken) => void): void {
  describeOn(SOFTHSM, title, define);
}

/** Registers `define` as a suite on an NSS token of its own, or skips it under a title that says why. */
export function describeOnNss(title: string, define: (token: () => TestToken) => void): void {
  describeOn(NSS, title, define);
}

/**
 * The tokens that this machine has, of those that are named; all by default.
 * @throws TestServerError `ERR_TESTKIT_SERVER_REQUIRED` when `KEYWRIGHT_REQUIRE` asks for one that it does not have
 */
export function tokenKinds(...names: readonly TokenKind['name'][]): readonly TokenKind[] {
  return KINDS.filter(({ name }) => names.length === 0 || names.includes(name)).filter((kind) => isAtHand(kind));
}

/** Registers `define` as one suite for each token, or skips it under a title that says why. */
export function describeEachToken(
  title: string,
  define: (token: () => TestToken, name: TokenKind['name']) => void,
): void {
  for (const kind of KINDS) describeOn(kind, title, (token) => define(token, kind.name));
}

/**
 * Registers `define` as a suite on a SoftHSM token of its own that is reached over a socket, as those of the network are,
 * or skips it under a title that says why.
 */
export function describeOnRemoteToken(title: string, define: (token: () => TestToken & RemoteToken) => void): void {
  const isHere = isAtHand(SOFTHSM);
  const library = requireOrSkip('p11-kit', remoteTokenLibrary(), 'Install p11-kit and p11-kit-modules.');
  if (!isHere || library === undefined) {
    describe.skip(`${title} over a socket (SoftHSM or p11-kit is not installed here)`, () =>
      define(() => missing(SOFTHSM)));
    return;
  }
  describe(`${title} over a socket`, () => {
    let token: TestToken & RemoteToken;
    beforeAll(async () => {
      const local = await startSoftHsm();
      token = { ...local, ...(await startRemoteToken(local)) };
    });
    afterAll(async () => {
      await token.kill();
      await token.stop();
    });
    define(() => token);
  });
}

function describeOn(kind: TokenKind, title: string, define: (token: () => TestToken) => void): void {
  if (!isAtHand(kind)) {
    describe.skip(`${title} on ${kind.name} (not installed here)`, () => define(() => missing(kind)));
    return;
  }
  describe(`${title} on ${kind.name}`, () => {
    let token: TestToken;
    beforeAll(async () => {
      token = await kind.start();
    });
    afterAll(() => token.stop());
    define(() => token);
  });
}

function isAtHand({ name }: TokenKind): boolean {
  if (name === 'NSS') return requireOrSkip('nss', nssLibrary(), 'Install libnss3-tools.') !== undefined;
  return requireOrSkip('softhsm', softHsmLibrary(), 'Install softhsm2.') !== undefined;
}

function missing({ name }: TokenKind): never {
  throw new Error(`${name} is not installed here`);
}
