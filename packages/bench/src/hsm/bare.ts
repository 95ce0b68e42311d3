import { hash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { Cryptoki, Pkcs11Binding } from '@keywright/kms-pkcs11';
import type { TestToken } from '@keywright/testkit';

const CKF = { SERIAL_SESSION: 0x4, RW_SESSION: 0x2 };
const CKA = { CLASS: 0x0, ID: 0x102 };
const CKO_PRIVATE_KEY = 3;
const CKM = { ECDSA: 0x1041, SHA256_RSA_PKCS: 0x40 };

type Handle = Parameters<Cryptoki['C_CloseSession']>[0];
type WithSync = Cryptoki & { C_Sign(session: Handle, data: Buffer, signature: Buffer): Buffer };

/** pkcs11js as @keywright/kms-pkcs11 finds it. */
const binding = createRequire(new URL('../../../kms-pkcs11/package.json', import.meta.url))(
  'pkcs11js',
) as Pkcs11Binding;

/**
 * A token by pkcs11js alone: sessions, logged in, and calls that take turns on them. In a process where a provider has
 * started the library and is connected.
 */
export class BareHsm {
  readonly #cryptoki: WithSync;
  readonly #sessions: readonly Handle[];
  readonly #free: Handle[];
  readonly #waiting: ((session: Handle) => void)[] = [];

  constructor({ library, label }: TestToken, sessions: number) {
    const cryptoki = new binding.PKCS11() as WithSync;
    cryptoki.load(library);
    const slot = cryptoki.C_GetSlotList(true).find((one) => cryptoki.C_GetTokenInfo(one).label.trim() === label);
    if (slot === undefined) throw new Error('The token is not there.');
    const flags = CKF.SERIAL_SESSION | CKF.RW_SESSION;
    this.#cryptoki = cryptoki;
    this.#sessions = Array.from({ length: sessions }, () => cryptoki.C_OpenSession(slot, flags));
    this.#free = [...this.#sessions];
  }

  privateKey(externalId: string): Handle {
    const session = this.#sessions[0] as Handle;
    this.#cryptoki.C_FindObjectsInit(session, [
      { type: CKA.CLASS, value: CKO_PRIVATE_KEY },
      { type: CKA.ID, value: Buffer.from(externalId, 'hex') },
    ]);
    const [key] = this.#cryptoki.C_FindObjects(session, 1);
    this.#cryptoki.C_FindObjectsFinal(session);
    if (key === undefined) throw new Error('The token does not have the key.');
    return key;
  }

  /** ES256, the digest made in this process, on a session that nobody uses. */
  async signEs256(key: Handle, data: Uint8Array): Promise<Buffer> {
    const session = this.#free.pop() ?? (await new Promise<Handle>((resolve) => this.#waiting.push(resolve)));
    try {
      this.#cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA }, key);
      return await this.#cryptoki.C_SignAsync(session, hash('sha256', data, 'buffer'), Buffer.alloc(64));
    } finally {
      this.#giveBack(session);
    }
  }

  async signRs256(key: Handle, data: Buffer): Promise<Buffer> {
    const session = this.#free.pop() ?? (await new Promise<Handle>((resolve) => this.#waiting.push(resolve)));
    try {
      this.#cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      return await this.#cryptoki.C_SignAsync(session, data, Buffer.alloc(384));
    } finally {
      this.#giveBack(session);
    }
  }

  /** RS256 on this thread. */
  signRs256Sync(key: Handle, data: Buffer): Buffer {
    const session = this.#sessions[0] as Handle;
    this.#cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    return this.#cryptoki.C_Sign(session, data, Buffer.alloc(384));
  }

  close(): void {
    for (const session of this.#sessions) this.#cryptoki.C_CloseSession(session);
  }

  #giveBack(session: Handle): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(session);
    else next(session);
  }
}
