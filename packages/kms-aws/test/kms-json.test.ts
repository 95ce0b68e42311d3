import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { loadKmsRegistry } from '@keywright/kms';
import { awsKmsProviderType } from '@keywright/kms-aws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refusalOf } from './support.ts';

const SECRET = 'canary-of-a-secret-access-key';

const variable = (name: string): string => `\${${name}}`;

describe('kms.json with a provider of type aws-kms', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'keywright-kms-aws-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const load = (members: object, env: Record<string, string> = {}) => {
    const entry = { id: 'aws', type: 'aws-kms', region: 'eu-central-1', ...members };
    writeFileSync(join(folder, 'kms.json'), JSON.stringify({ providers: [entry] }));
    return loadKmsRegistry({ folder, env, types: [awsKmsProviderType] });
  };

  it('takes keys from the environment and echoes that they are set, not what they are', async () => {
    const registry = await load(
      { accessKeyId: variable('AWS_ACCESS_KEY_ID'), secretAccessKey: variable('AWS_SECRET_ACCESS_KEY') },
      { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: SECRET },
    );
    expect(registry.provider('aws')).toMatchObject({ id: 'aws', type: 'aws-kms' });
    const shown = inspect([registry, registry.echo(), registry.describe()], { depth: 20, showHidden: true });
    expect(shown).not.toContain(SECRET);
    expect(JSON.stringify(registry.echo())).toContain('eu-central-1');
    await registry.close();
  });

  it.each<[string, object]>([
    ['one key of two', { accessKeyId: 'AKIDEXAMPLE' }],
    ['no region', { region: undefined }],
    ['a field that there is not', { vaultUrl: 'https://vault.example.com' }],
    ['a client, which is of code', { client: {} }],
    ['tags that are no texts', { tags: { Team: 7 } }],
  ])('is refused with the path of the error: %s', async (_what, members) => {
    const error = await refusalOf(load(members));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    expect(JSON.stringify(error)).toContain('providers');
  });

  it('is refused for what only the provider knows, with its path', async () => {
    const error = await refusalOf(load({ endpoint: `http://user:${SECRET}@kms.example.com` }));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    expect(JSON.stringify(error)).toContain('endpoint');
    expect(inspect(error, { depth: 9 })).not.toContain(SECRET);
  });
});
