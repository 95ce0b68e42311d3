import { createPublicKey, type JsonWebKey } from 'node:crypto';
import type { KmsKeyRef } from '@keywright/kms';
import type { Pkcs11Binding, Pkcs11ProviderOptions } from '@keywright/kms-pkcs11';
import type { TestToken } from '@keywright/testkit';
import pkcs11js, { type Handle, type PKCS11 } from 'pkcs11js';

/** Options of a provider on a token. */
export function optionsOn(token: TestToken, more: Partial<Pkcs11ProviderOptions> = {}): Pkcs11ProviderOptions {
  const { library, libraryParameters, label, pin } = token;
  return { id: 'hsm', library, libraryParameters, slot: label, pin, ...more };
}

/** The token by pkcs11js itself, in the process that a provider has started the library in. */
export class BareToken {
  readonly cryptoki: PKCS11 = new pkcs11js.PKCS11();
  readonly slot: Handle;
  readonly #pin: string;

  constructor(token: TestToken) {
    this.cryptoki.load(token.library);
    try {
      // The binding loses the last character of the parameters.
      const parameters =
        token.libraryParameters === undefined ? {} : { libraryParameters: `${token.libraryParameters} ` };
      this.cryptoki.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK, ...parameters });
    } catch (error) {
      if ((error as Error).message !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw error;
    }
    const slots = this.cryptoki.C_GetSlotList(true);
    const slot = slots.find((one) => this.cryptoki.C_GetTokenInfo(one).label.trim() === token.label);
    if (slot === undefined) throw new Error('The token is not there.');
    this.slot = slot;
    this.#pin = token.pin;
  }

  /** In a session of its own, logged in. */
  withSession<T>(work: (session: Handle) => T): T {
    const session = this.cryptoki.C_OpenSession(this.slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
    try {
      try {
        this.cryptoki.C_Login(session, pkcs11js.CKU_USER, this.#pin);
      } catch (error) {
        if ((error as Error).message !== 'CKR_USER_ALREADY_LOGGED_IN') throw error;
      }
      return work(session);
    } finally {
      this.cryptoki.C_CloseSession(session);
    }
  }

  find(session: Handle, template: pkcs11js.Template): Handle[] {
    this.cryptoki.C_FindObjectsInit(session, template);
    const found = this.cryptoki.C_FindObjects(session, 100);
    this.cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  /** Objects of a key by its id, of a class or of any. */
  objects(session: Handle, externalId: string, keyClass?: number): Handle[] {
    return this.find(session, [
      ...(keyClass === undefined ? [] : [{ type: pkcs11js.CKA_CLASS, value: keyClass }]),
      { type: pkcs11js.CKA_ID, value: Buffer.from(externalId, 'hex') },
    ]);
  }

  read(session: Handle, object: Handle, type: number): Buffer {
    return this.cryptoki.C_GetAttributeValue(session, object, [{ type }])[0]?.value as Buffer;
  }

  /** The public key, taken apart by what OpenSSL knows of it. */
  publicKey({ externalId, alg }: Pick<KmsKeyRef, 'externalId' | 'alg'>): JsonWebKey {
    return this.withSession((session) => {
      const [object] = this.objects(session, externalId, pkcs11js.CKO_PUBLIC_KEY);
      if (object === undefined) throw new Error('The token has no public key of this id.');
      const read = (type: number): Buffer => this.read(session, object, type);
      if (alg.startsWith('RS') || alg.startsWith('PS')) {
        const [n, e] = [read(pkcs11js.CKA_MODULUS), read(pkcs11js.CKA_PUBLIC_EXPONENT)];
        return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
      }
      const parameters = alg === 'EdDSA' ? Buffer.from('06032b6570', 'hex') : read(pkcs11js.CKA_EC_PARAMS);
      return spkiOf(parameters, pointIn(read(pkcs11js.CKA_EC_POINT)), alg === 'EdDSA').export({ format: 'jwk' });
    });
  }
}

/** A DER OCTET STRING's content, or what is none as it is. */
function pointIn(value: Buffer): Buffer {
  const header = value[1] === 0x81 ? 3 : 2;
  return value[0] === 0x04 && value[header - 1] === value.length - header ? value.subarray(header) : value;
}

function spkiOf(parameters: Buffer, point: Buffer, edwards: boolean): ReturnType<typeof createPublicKey> {
  const der = (tag: number, content: Buffer): Buffer => {
    const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
    return Buffer.concat([Buffer.of(tag, ...length), content]);
  };
  const ecPublicKey = Buffer.from('06072a8648ce3d0201', 'hex');
  const algorithm = der(0x30, edwards ? parameters : Buffer.concat([ecPublicKey, parameters]));
  const key = der(0x30, Buffer.concat([algorithm, der(0x03, Buffer.concat([Buffer.of(0), point]))]));
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

/** pkcs11js with a change to every instance, after it was made. */
export function bindingWith(change: (cryptoki: PKCS11) => void): Pkcs11Binding {
  class Changed extends pkcs11js.PKCS11 {
    constructor() {
      super();
      change(this);
    }
  }
  return { PKCS11: Changed };
}

/** Counts the calls of functions of the binding, which are made all the same. */
export function countingBinding(): { readonly binding: Pkcs11Binding; readonly calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const binding = bindingWith((cryptoki) => {
    const functions = cryptoki as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const name in cryptoki) {
      const called = functions[name];
      if (!name.startsWith('C_') || typeof called !== 'function') continue;
      functions[name] = (...args) => {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return called.apply(cryptoki, args);
      };
    }
  });
  return { binding, calls };
}

/**
 * Stands between a provider and the library: calls that would go to another thread wait while something is done that no
 * library survives in the middle of a call.
 */
export class Gate {
  readonly binding: Pkcs11Binding;
  #running = 0;
  #closed: PromiseWithResolvers<void> | undefined;
  #empty: PromiseWithResolvers<void> | undefined;

  constructor() {
    this.binding = bindingWith((cryptoki) => {
      const sign = cryptoki.C_SignAsync.bind(cryptoki);
      cryptoki.C_SignAsync = async (...args) => {
        await this.#closed?.promise;
        this.#running++;
        try {
          return await sign(...args);
        } finally {
          if (--this.#running === 0) this.#empty?.resolve();
        }
      };
    });
  }

  async whileEmpty(work: () => void): Promise<void> {
    this.#closed = Promise.withResolvers();
    if (this.#running > 0) {
      this.#empty = Promise.withResolvers();
      await this.#empty.promise;
    }
    work();
    this.#closed.resolve();
    this.#closed = undefined;
  }
}

/** The error that a promise is rejected with; a promise that is fulfilled fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string; retryable?: boolean }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection');
}
