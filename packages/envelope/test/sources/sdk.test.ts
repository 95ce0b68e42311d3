import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadSdk } from '../../src/sources/sdk.ts';

const packageFolder = fileURLToPath(new URL('../..', import.meta.url));

/** The sources where no SDK is installed; for Azure with one of its two. */
describe('without its SDK', () => {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-sdk-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeAll(() => {
    cpSync(join(packageFolder, 'src'), join(folder, 'src'), { recursive: true });
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  });

  it.each([
    ['aws-secrets-manager.ts', "awsSecretsManagerSource('key')", '@aws-sdk/client-secrets-manager'],
    ['aws-ssm.ts', "awsSsmSource('key')", '@aws-sdk/client-ssm'],
    ['gcp-secret-manager.ts', "gcpSecretManagerSource('projects/p/secrets/s')", '@google-cloud/secret-manager'],
    ['azure-key-vault.ts', "azureKeyVaultSource('https://a.vault.azure.net', 'key')", '@azure/keyvault-secrets'],
    ['azure-key-vault.ts', "azureKeyVaultSource('https://a.vault.azure.net', 'key')", '@azure/identity'],
  ])('%s: %s names the package to install: %s', (file, call, packageName) => {
    if (packageName === '@azure/identity') {
      mkdirSync(join(folder, 'node_modules', '@azure'), { recursive: true });
      const installed = realpathSync(join(packageFolder, 'node_modules', '@azure', 'keyvault-secrets'));
      symlinkSync(installed, join(folder, 'node_modules', '@azure', 'keyvault-secrets'));
    }
    const script = `
      import * as sources from './src/sources/${file}';
      sources.${call}.load().then(() => console.log('loaded'), (error) => console.log(JSON.stringify(error)));`;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(JSON.parse(child.stdout)).toMatchObject({
      name: 'KeySourceError',
      code: 'ERR_KEY_SOURCE_SDK_MISSING',
      retryable: false,
      context: { expected: packageName },
    });
  });
});

it('an SDK whose own dependency is missing is another error than a missing SDK', async () => {
  const broken = Object.assign(new Error("Cannot find package 'tslib'"), { code: 'ERR_MODULE_NOT_FOUND' });
  await expect(loadSdk('x', '@scope/sdk', () => Promise.reject(broken))).rejects.toBe(broken);
});
