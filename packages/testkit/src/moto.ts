import type { TestServer } from './postgres.ts';
import { isAtHand, type PythonServer, startPythonServer } from './python-server.ts';

const MOTO: PythonServer = {
  name: 'moto',
  variable: 'KEYWRIGHT_TEST_MOTO_URL',
  packages: ['moto[server]==5.2.5'],
  program: 'moto_server',
  readyPath: '/moto-api/data.json',
  args: (port) => ['-H', '127.0.0.1', '-p', String(port)],
};

/** Whether `startMoto` would have something to start without installing it. */
export function motoIsAtHand(): boolean {
  return isAtHand(MOTO);
}

/**
 * A moto server, which speaks the API of AWS: the one that `KEYWRIGHT_TEST_MOTO_URL` names, else one of a Python
 * environment below `node_modules/.cache` on a free port of 127.0.0.1. The environment is made first where it is
 * missing: Python 3 with pip and venv, and PyPI, are needed once.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startMoto(): Promise<TestServer> {
  return await startPythonServer(MOTO);
}
