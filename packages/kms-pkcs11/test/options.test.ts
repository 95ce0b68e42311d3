import { inspect } from 'node:util';
import { KmsError } from '@keywright/kms';
import { type Pkcs11ProviderOptions, pkcs11Provider } from '@keywright/kms-pkcs11';
import { describe, expect, it } from 'vitest';
import { rejection } from './harness.ts';

const SECRET = 'canary-of-a-pin';
const GOOD = { id: 'hsm', library: '/usr/lib/hsm.so', slot: 'label', pin: SECRET };

function refusal(options: object): KmsError {
  try {
    pkcs11Provider(options as Pkcs11ProviderOptions);
  } catch (error) {
    if (error instanceof KmsError) return error;
    throw error;
  }
  throw new Error('The options must be refused.');
}

describe('options', () => {
  it.each<[string, object]>([
    ['library', { library: undefined }],
    ['library', { library: 'libhsm.so' }],
    ['library', { library: '../libhsm.so' }],
    ['library', { library: '/usr/lib/hsm.so\0.txt' }],
    ['slot', { slot: undefined }],
    ['slot', { slot: -1 }],
    ['slot', { slot: 1.5 }],
    ['slot', { slot: '' }],
    ['slot', { slot: { label: 'label' } }],
    ['slot', { slotId: 3 }],
    ['slot', { serial: '1' }],
    ['slot', { uri: 'pkcs11:token=label' }],
    ['slotId', { slot: undefined, slotId: '3' }],
    ['serial', { slot: undefined, serial: 7 }],
    ['uri', { slot: undefined, uri: `pkcs11:token=label;object=key?pin-value=${SECRET}` }],
    ['uri', { slot: undefined, uri: 'pkcs11:model=any' }],
    ['uri', { slot: undefined, uri: 'pkcs11:token=label?pin-source=file:/etc/pin' }],
    ['uri', { slot: undefined, uri: 'pkcs11:token=label?module-path=/other.so' }],
    ['uri', { slot: undefined, uri: `not a URI ${SECRET}` }],
    ['uri', { slot: undefined, uri: `pkcs11:token=%zz?pin-value=${SECRET}` }],
    ['pin', { pin: undefined }],
    ['pin', { pin: 1234 }],
    ['pin', { pin: `${SECRET}\0` }],
    ['pin', { slot: undefined, uri: `pkcs11:token=label?pin-value=${SECRET}` }],
    ['readOnly', { readOnly: 'yes' }],
    ['libraryParameters', { libraryParameters: 7 }],
    ['sessions', { sessions: 0 }],
    ['sessions', { sessions: 1e9 }],
    ['maxWaiting', { maxWaiting: 0 }],
    ['module', { module: {} }],
    ['id', { id: '' }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['publicKeyTtlMs', { publicKeyTtlMs: 'long' }],
  ])('%s is refused by name, without its value: %o', (argument, over) => {
    const error = refusal({ ...GOOD, ...over });
    expect(error).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT', context: { argument } });
    expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)).not.toContain('canary');
  });

  it('that are none, or throw when they are read, are refused', () => {
    for (const options of [undefined, null, '/usr/lib/hsm.so']) {
      expect(refusal(options as never)).toMatchObject({ code: 'ERR_KMS_INVALID_ARGUMENT' });
    }
    const throwing = {
      ...GOOD,
      get pin(): string {
        throw new Error(SECRET);
      },
    };
    expect(inspect(refusal(throwing), { depth: 9 })).not.toContain('canary');
  });

  it('are copied, and shown by nothing', async () => {
    const options = { ...GOOD, library: '/no/such/library.so' };
    const provider = pkcs11Provider(options);
    options.library = '/other';
    const error = await rejection(provider.createKey({ tenantId: 'acme', keyId: 'k1' }));
    const seen = [provider, error, await provider.health(), provider.capabilities];
    expect(inspect(seen, { depth: 20, showHidden: true }) + JSON.stringify(seen)).not.toContain('canary');
    await provider.close();
  });
});
