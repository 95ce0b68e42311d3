/**
 * Inputs that are the same in every run. The generator is seeded and weak on purpose: nothing here is a secret.
 */
export class Fixtures {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  bytes(length: number): Buffer {
    const out = Buffer.allocUnsafeSlow(length);
    for (let index = 0; index < length; index++) out[index] = this.#next() >>> 24;
    return out;
  }

  /** `length` characters of base64url. */
  token(length: number): string {
    return this.bytes(Math.ceil((length * 3) / 4))
      .toString('base64url')
      .slice(0, length);
  }

  uuid(): string {
    const hex = this.bytes(16).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  /** Credentials of OAuth connections that are exactly `length` bytes of JSON, all ASCII. At least 128. */
  credentials(length: number): Credentials {
    const draft = { provider: 'acme', clientId: this.token(20), clientSecret: this.token(40), connections: [] };
    const value: Credentials & { connections: Connection[] } = { ...draft, padding: '' };
    let left = length - JSON.stringify(value).length;
    while (left > 1024) {
      const connection = this.#connection();
      value.connections.push(connection);
      left -= JSON.stringify(connection).length + (value.connections.length > 1 ? 1 : 0);
    }
    // Parsed again: strings that come from a database are flat, those put together here need not be.
    return JSON.parse(JSON.stringify({ ...value, padding: this.token(left) })) as Credentials;
  }

  #connection(): Connection {
    return {
      id: this.uuid(),
      scope: 'contacts:read contacts:write offline_access',
      accessToken: this.token(420 + (this.#next() % 200)),
      refreshToken: this.token(64),
      expiresAt: '2030-01-01T00:00:00.000Z',
    };
  }

  /** mulberry32 */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}

export interface Connection {
  readonly id: string;
  readonly scope: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresAt: string;
}

export interface Credentials {
  readonly provider: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly connections: readonly Connection[];
  readonly padding: string;
}
