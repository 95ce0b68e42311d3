import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { TestServerError } from './errors.ts';
import { atExit } from './exit-guard.ts';
import { ProgramError, run } from './program.ts';

/** A token of PKCS #11 in a folder of its own, removed with the process at the latest. */
export interface TestToken {
  /** Absolute path of its library. */
  readonly library: string;
  /** What the library wants at its start. */
  readonly libraryParameters: string | undefined;
  readonly label: string;
  readonly pin: string;
  /** Folder of its objects. A token whose folder is moved away is pulled out. */
  readonly folder: string;
  stop(): Promise<void>;
}

const SOFTHSM_LIBRARIES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/pkcs11/libsofthsm2.so',
  '/opt/homebrew/lib/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
];
export const MACHINE: string = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const NSS_LIBRARIES = [
  `/usr/lib/${MACHINE}/libsoftokn3.so`,
  `/usr/lib/${MACHINE}/nss/libsoftokn3.so`,
  '/usr/lib64/libsoftokn3.so',
];

/** Library of SoftHSM, where its tool is installed too. */
export function softHsmLibrary(): string | undefined {
  return isInPath('softhsm2-util') ? SOFTHSM_LIBRARIES.find((path) => existsSync(path)) : undefined;
}

/** NSS's library of software tokens, where `certutil` is installed too. */
export function nssLibrary(): string | undefined {
  return isInPath('certutil') ? NSS_LIBRARIES.find((path) => existsSync(path)) : undefined;
}

/**
 * A new SoftHSM token. SoftHSM reads the variable `SOFTHSM2_CONF` when it is started, so this process has one token folder
 * at a time: the last one. In threads of a process the variable is not the process's.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startSoftHsm(): Promise<TestToken> {
  const library = found('SoftHSM', softHsmLibrary());
  const place = newFolder('softhsm');
  const folder = join(place.path, 'tokens');
  const configuration = join(place.path, 'softhsm2.conf');
  mkdirSync(folder);
  const settings = [`directories.tokendir = ${folder}`, 'objectstore.backend = file', 'log.level = ERROR', ''];
  writeFileSync(configuration, settings.join('\n'));
  const label = `keywright ${randomBytes(4).toString('hex')}`;
  const pin = randomBytes(12).toString('hex');
  const soPin = randomBytes(12).toString('hex');
  process.env.SOFTHSM2_CONF = configuration;
  const args = ['--init-token', '--free', '--label', label, '--so-pin', soPin, '--pin', pin];
  started('SoftHSM', place, () => run('softhsm2-util', args, place.path, {}));
  return { library, libraryParameters: undefined, label, pin, folder, stop: async () => place.remove() };
}

/**
 * A new database of NSS, as a token.
 * @throws TestServerError `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startNss(): Promise<TestToken> {
  const library = found('NSS', nssLibrary());
  const place = newFolder('nss');
  const folder = join(place.path, 'database');
  const pinFile = join(place.path, 'pin');
  mkdirSync(folder);
  const label = `keywright ${randomBytes(4).toString('hex')}`;
  const pin = randomBytes(12).toString('hex');
  writeFileSync(pinFile, pin);
  started('NSS', place, () => run('certutil', ['-N', '-d', `sql:${folder}`, '-f', pinFile], place.path, {}));
  const libraryParameters = [
    "certPrefix='' keyPrefix='' secmod='secmod.db' flags=",
    `dbTokenDescription='${label}' configdir='sql:${folder}'`,
  ].join(' ');
  return { library, libraryParameters, label, pin, folder, stop: async () => place.remove() };
}

interface Place {
  readonly path: string;
  remove(): void;
}

function newFolder(name: string): Place {
  const path = mkdtempSync(join(tmpdir(), `keywright-${name}-`));
  const clear = (): void => rmSync(path, { recursive: true, force: true });
  const forget = atExit(clear);
  return {
    path,
    remove: () => {
      forget();
      clear();
    },
  };
}

function started(name: string, place: Place, make: () => void): void {
  try {
    make();
  } catch (error) {
    place.remove();
    const reason = error instanceof ProgramError ? `${error.message}\n${error.output}` : String(error);
    throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `${name} made no token: ${reason}`, error);
  }
}

function found(name: string, library: string | undefined): string {
  if (library !== undefined) return library;
  throw new TestServerError('ERR_TESTKIT_SERVER_START_FAILED', `${name} is not installed here`);
}

export function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, program)));
}
