import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { loadKmsRegistry } from '@keywright/kms';
import { pkcs11ProviderType } from '@keywright/kms-pkcs11';
import { describeOnSoftHsm } from '@keywright/testkit/hsm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rejection } from './harness.ts';

const SECRET = 'canary-of-a-pin';
const variable = (name: string): string => `\${${name}}`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'keywright-kms-pkcs11-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = (members: object, env: Record<string, string> = {}) => {
  const entry = {
    id: 'hsm',
    type: 'pkcs11',
    library: '/usr/lib/hsm.so',
    slot: 0,
    pin: variable('HSM_PIN'),
    ...members,
  };
  writeFileSync(join(folder, 'kms.json'), JSON.stringify({ defaultProvider: 'hsm', providers: [entry] }));
  return loadKmsRegistry({ folder, env: { HSM_PIN: SECRET, ...env }, types: [pkcs11ProviderType] });
};

describe('kms.json with a provider of type pkcs11', () => {
  it.each<[string, object]>([
    ['the position of a slot', { slot: 0, readOnly: false }],
    ['the label of a token', { slot: 'eudiplo-token', readOnly: true }],
    ['the number of a slot', { slot: undefined, slotId: 919_899_302 }],
    ['the serial number of a token', { slot: undefined, serial: '726082b936d48ca6' }],
    [
      'a URI that holds the PIN',
      { slot: undefined, pin: undefined, uri: `pkcs11:token=t?pin-value=${variable('HSM_PIN')}` },
    ],
    ['what NSS wants', { slot: 1, libraryParameters: "configdir='sql:/etc/pki'", sessions: 8, maxWaiting: 100 }],
  ])('takes %s, and echoes no PIN', async (_what, members) => {
    const registry = await load(members);
    expect(registry.provider('hsm')).toMatchObject({ id: 'hsm', type: 'pkcs11' });
    const shown = inspect([registry, registry.echo(), registry.describe()], { depth: 20, showHidden: true });
    expect(shown + JSON.stringify(registry.echo())).not.toContain(SECRET);
    expect(shown).toContain('/usr/lib/hsm.so');
    await registry.close();
  });

  it.each<[string, object]>([
    ['no library', { library: undefined }],
    ['a library that is found by chance', { library: 'libhsm.so' }],
    ['a library out of the folder', { library: '../../tmp/libhsm.so' }],
    ['no token', { slot: undefined }],
    ['a token named twice', { serial: '1' }],
    ['a slot that is a list', { slot: [0] }],
    ['no PIN', { pin: undefined }],
    ['a field that there is not', { vaultToken: SECRET }],
    ['a module, which is of code', { module: {} }],
    ['sessions that are a text', { sessions: '4' }],
    ['a URI of a key', { slot: undefined, uri: `pkcs11:token=t;object=k?pin-value=${SECRET}`, pin: undefined }],
  ])('is refused with the path of the error: %s', async (_what, members) => {
    const error = await rejection(load(members));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG' });
    expect(JSON.stringify(error)).toContain('providers');
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(SECRET);
  });

  it('is refused while the PIN is unset', async () => {
    const error = await rejection(load({ pin: variable('UNSET_PIN') }));
    expect(error).toMatchObject({ code: 'ERR_KMS_CONFIG_REFERENCE', context: { variable: 'UNSET_PIN' } });
  });
});

describeOnSoftHsm('kms.json with a provider of type pkcs11', (token) => {
  it('signs', async () => {
    const { library, label, pin } = token();
    const registry = await load({ library, slot: label }, { HSM_PIN: pin });
    const provider = registry.provider('hsm');
    const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
    expect((await provider.sign(key, Buffer.from('data'))).byteLength).toBe(64);
    expect(await registry.health()).toMatchObject([{ providerId: 'hsm', ok: true }]);
    await registry.close();
  });
});
