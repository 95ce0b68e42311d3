import type { TestServer } from './postgres.ts';
import { isAtHand, type PythonServer, startPythonServer } from './python-server.ts';

/** The account that moto has too. */
export const TEST_AWS_ACCOUNT = '123456789012';

const MINISTACK: PythonServer = {
  name: 'ministack',
  variable: 'KEYWRIGHT_TEST_MINISTACK_URL',
  packages: ['ministack==1.5.33', 'cryptography>=41'],
  program: 'ministack',
  readyPath: '/_ministack/health',
  args: () => [],
  env: (port) => ({
    BIND_HOST: '127.0.0.1',
    GATEWAY_PORT: String(port),
    MINISTACK_ACCOUNT_ID: TEST_AWS_ACCOUNT,
    SERVICES: 'kms,iam,sts',
    AUTH: 'true', // policies of IAM are kept
    IOT_MTLS_ENABLED: '0',
    SFTP_ENABLED: '0',
    LOG_LEVEL: 'ERROR',
    // Credentials of the machine are not for a test server.
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  }),
};

/** Whether `startMiniStack` would have something to start without installing it. */
export function miniStackIsAtHand(): boolean {
  return isAtHand(MINISTACK);
}

/**
 * A MiniStack server with KMS, IAM and STS: the one that `KEYWRIGHT_TEST_MINISTACK_URL` names, else one that is started,
 * and installed first where it is missing, as moto is. `test` / `test` are the keys of its root.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startMiniStack(): Promise<TestServer> {
  return await startPythonServer(MINISTACK);
}
