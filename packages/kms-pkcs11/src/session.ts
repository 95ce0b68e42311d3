import type { Connection } from './connection.ts';
import type { Attribute, Handle, Mechanism } from './cryptoki.ts';
import { TokenLost } from './failures.ts';
import { isLoggedIn } from './login.ts';

const FOUND_AT_ONCE = 100;

/** A session, used by one call at a time: a session has one operation. */
export class Session {
  readonly connection: Connection;
  readonly handle: Handle;
  /** What the library reads on another thread: the binding keeps only what it writes to from being collected. */
  lent: unknown;

  constructor(connection: Connection, handle: Handle) {
    this.connection = connection;
    this.handle = handle;
  }

  sign(mechanism: Mechanism, key: Handle, data: Buffer, signatureLength: number): Promise<Buffer> {
    const { cryptoki } = this.connection;
    const signature = Buffer.alloc(signatureLength);
    cryptoki.C_SignInit(this.handle, mechanism, key);
    this.lent = data;
    return cryptoki.C_SignAsync(this.handle, data, signature);
  }

  encrypt(mechanism: Mechanism, key: Handle, data: Buffer, room: number): Promise<Buffer> {
    const { cryptoki } = this.connection;
    const encrypted = Buffer.alloc(room);
    cryptoki.C_EncryptInit(this.handle, mechanism, key);
    this.lent = [mechanism, data];
    return cryptoki.C_EncryptAsync(this.handle, data, encrypted);
  }

  decrypt(mechanism: Mechanism, key: Handle, encrypted: Buffer, room: number): Promise<Buffer> {
    const { cryptoki } = this.connection;
    const data = Buffer.alloc(room);
    cryptoki.C_DecryptInit(this.handle, mechanism, key);
    this.lent = [mechanism, encrypted];
    return cryptoki.C_DecryptAsync(this.handle, encrypted, data);
  }

  wrap(mechanism: Mechanism, wrappingKey: Handle, key: Handle, room: number): Promise<Buffer> {
    const wrapped = Buffer.alloc(room);
    const { cryptoki } = this.connection;
    return cryptoki.C_WrapKeyAsync(this.handle, mechanism, wrappingKey, key, wrapped);
  }

  unwrap(mechanism: Mechanism, wrappingKey: Handle, wrapped: Buffer, template: Attribute[]): Promise<Handle> {
    const { cryptoki } = this.connection;
    this.lent = wrapped;
    return cryptoki.C_UnwrapKeyAsync(this.handle, mechanism, wrappingKey, wrapped, template);
  }

  generateKey(mechanism: Mechanism, template: Attribute[]): Promise<Handle> {
    return this.connection.cryptoki.C_GenerateKeyAsync(this.handle, mechanism, template);
  }

  generateKeyPair(
    mechanism: Mechanism,
    publicTemplate: Attribute[],
    privateTemplate: Attribute[],
  ): Promise<{ readonly publicKey: Handle; readonly privateKey: Handle }> {
    const { cryptoki } = this.connection;
    return cryptoki.C_GenerateKeyPairAsync(this.handle, mechanism, publicTemplate, privateTemplate);
  }

  /**
   * All objects that a template fits. That there is none is believed only of a token that answers: one that was pulled
   * out has no objects either.
   * @throws TokenLost
   */
  find(template: Attribute[]): readonly Handle[] {
    const { cryptoki } = this.connection;
    const found: Handle[] = [];
    cryptoki.C_FindObjectsInit(this.handle, template);
    try {
      for (let more = true; more; ) {
        const page = cryptoki.C_FindObjects(this.handle, FOUND_AT_ONCE);
        found.push(...page);
        more = page.length === FOUND_AT_ONCE;
      }
    } finally {
      cryptoki.C_FindObjectsFinal(this.handle);
    }
    if (found.length === 0) this.assertWell();
    return found;
  }

  /** @throws the binding's error for an attribute that the object does not have or show */
  attribute(object: Handle, type: number): Buffer {
    const [read] = this.connection.cryptoki.C_GetAttributeValue(this.handle, object, [{ type }]);
    return (read as { readonly value: Buffer }).value;
  }

  destroy(object: Handle): void {
    this.connection.cryptoki.C_DestroyObject(this.handle, object);
  }

  create(template: Attribute[]): Handle {
    return this.connection.cryptoki.C_CreateObject(this.handle, template);
  }

  /** @throws TokenLost unless the token answers and its user is logged in */
  assertWell(): void {
    const { cryptoki, token, needsLogin } = this.connection;
    let loggedIn: boolean;
    try {
      loggedIn = !needsLogin || isLoggedIn(cryptoki, this.handle);
    } catch (cause) {
      throw new TokenLost('sessions', cause);
    }
    if (!loggedIn) throw new TokenLost('sessions', undefined);
    try {
      cryptoki.C_GetTokenInfo(token.slot);
    } catch (cause) {
      throw new TokenLost('token', cause);
    }
  }
}
