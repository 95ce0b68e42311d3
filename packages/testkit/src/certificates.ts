import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from './program.ts';

/** A certificate and its private key, PEM each. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** What a TLS server and its clients need, and what they must refuse. */
export interface TestCertificates {
  /** The authority of `server`, `client` and `expiredClient`, PEM. */
  readonly ca: string;
  /** For `127.0.0.1` and `localhost`. */
  readonly server: TestCertificate;
  readonly client: TestCertificate;
  /** Its time was over before it began. */
  readonly expiredClient: TestCertificate;
  /** As `client`, of an authority that nobody trusts. */
  readonly strangeClient: TestCertificate;
  /** As `server`, of that authority. */
  readonly strangeServer: TestCertificate;
}

const SERVER = 'subjectAltName=IP:127.0.0.1,DNS:localhost';
const CLIENT = 'extendedKeyUsage=clientAuth';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/**
 * Fresh certificates by the `openssl` program, valid for two days.
 * @throws ProgramError
 */
export function makeCertificates(): TestCertificates {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-certificates-'));
  try {
    makeAuthority(folder, 'ca');
    makeAuthority(folder, 'strange');
    return {
      ca: readFileSync(join(folder, 'ca.pem'), 'utf8'),
      server: issue(folder, 'ca', 'server', SERVER),
      client: issue(folder, 'ca', 'client', CLIENT),
      expiredClient: issue(folder, 'ca', 'expired', CLIENT, -1),
      strangeClient: issue(folder, 'strange', 'strange-client', CLIENT),
      strangeServer: issue(folder, 'strange', 'strange-server', SERVER),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeAuthority(folder: string, name: string): void {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
  run('openssl', ['req', '-x509', ...NEW_KEY, ...files, '-days', '2', '-subj', `/CN=${name}`], folder, {});
}

function issue(folder: string, authority: string, name: string, extension: string, days = 2): TestCertificate {
  const files = ['-keyout', `${name}.key`, '-out', `${name}.csr`];
  run('openssl', ['req', ...NEW_KEY, ...files, '-subj', `/CN=${name}`], folder, {});
  writeFileSync(join(folder, `${name}.ext`), extension);
  const issuer = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial'];
  const certificate = ['-in', `${name}.csr`, '-out', `${name}.pem`, '-extfile', `${name}.ext`, '-days', String(days)];
  run('openssl', ['x509', '-req', ...issuer, ...certificate], folder, {});
  const read = (suffix: string): string => readFileSync(join(folder, `${name}.${suffix}`), 'utf8');
  return { cert: read('pem'), key: read('key') };
}
