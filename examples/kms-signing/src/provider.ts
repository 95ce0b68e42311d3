import { createKeyring, generateKeyBase64 } from '@keywright/envelope';
import { dbProvider, type KmsProvider, migrateKmsTables } from '@keywright/kms';
import { pkcs11Provider } from '@keywright/kms-pkcs11';
import { softHsmLibrary, startSoftHsm } from '@keywright/testkit';
import type { Knex } from 'knex';

/** Where keys are to be made. */
export type Place = 'hsm' | 'database';

/** A provider, and what ends it. */
export interface OpenProvider {
  readonly provider: KmsProvider;
  close(): Promise<void>;
}

/** SoftHSM where it is installed: a token of PKCS #11 as a real HSM is one. */
export function placeAtHand(): Place {
  return softHsmLibrary() === undefined ? 'database' : 'hsm';
}

export async function openProvider(place: Place, knex: Knex): Promise<OpenProvider> {
  if (place === 'database') {
    await migrateKmsTables({ knex });
    // In your service: keyringFromEnv(), or a KMS.
    const root = createKeyring({ keys: { '2026-11': generateKeyBase64() }, activeKid: '2026-11' });
    const provider = dbProvider({ id: 'db', knex, root });
    return { provider, close: () => provider.close() };
  }
  const { library, label, pin, stop } = await startSoftHsm();
  const provider = pkcs11Provider({ id: 'hsm', library, slot: label, pin });
  return {
    provider,
    async close() {
      await provider.close();
      await stop();
    },
  };
}
