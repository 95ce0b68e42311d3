import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as main from '@keywright/envelope';
import * as sources from '@keywright/envelope/sources';
import { expect, it } from 'vitest';

it('exports these names and no others', () => {
  expect(Object.keys(sources).sort()).toEqual([
    'KeySourceError',
    'awsSecretsManagerSource',
    'awsSsmSource',
    'azureKeyVaultSource',
    'envSource',
    'fileSource',
    'followKeySource',
    'gcpSecretManagerSource',
    'keySourceFromEnv',
    'loadKeyring',
    'makePassphraseParameters',
    'masterSecretSource',
    'passphraseSource',
    'vaultKvSource',
    'wrapKeyMaterial',
    'wrappedSource',
  ]);
});

it('throws errors of the family', () => {
  expect(new sources.KeySourceError('ERR_KEY_SOURCE_TIMEOUT')).toBeInstanceOf(main.KeywrightError);
  expect(new sources.KeySourceError('ERR_KEY_SOURCE_TIMEOUT')).toMatchObject({
    name: 'KeySourceError',
    retryable: true,
  });
  expect(new sources.KeySourceError('ERR_KEY_SOURCE_DENIED').retryable).toBe(false);
});

it('loads an SDK only where it is needed: no file imports one at its top', () => {
  const folder = fileURLToPath(new URL('../../src/sources', import.meta.url));
  expect(existsSync(folder)).toBe(true);
  for (const file of readdirSync(folder)) {
    const text = readFileSync(`${folder}/${file}`, 'utf8');
    expect(text, file).not.toMatch(/^(?:import|export)[^\n]*from '@(?:aws-sdk|azure|google-cloud)\//m);
  }
});
