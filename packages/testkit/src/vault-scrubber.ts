import { ANY, ROOT_TOKEN } from './vault-recording.ts';

/** Members of answers and requests that may not be kept, wherever they are. */
const SECRETS = new Set(['client_token', 'accessor', 'secret_id', 'secret_id_accessor', 'role_id', 'token', 'id']);
/** Members whose value is of no use and new each time. */
const NOISE = new Set(['request_id', 'server_time_utc', 'cluster_id', 'cluster_name', 'uuid', 'entity_id']);

/** Puts names in place of secrets: the same one for the same secret, so that a replay hands them around as it was done. */
export class Scrubber {
  readonly #names = new Map<string, string>();

  constructor(rootToken: string) {
    this.#names.set(rootToken, ROOT_TOKEN);
  }

  /** A token as it was sent. */
  nameOf(token: string): string {
    return this.#names.get(token) ?? 'scrubbed-unknown-token';
  }

  /** A copy without secrets. Those that it meets are replaced from then on, in texts too. */
  scrub(value: unknown): unknown {
    this.#learn(value);
    return this.#replaced(value);
  }

  text(text: string): string {
    let clean = text;
    for (const [secret, name] of this.#names) clean = clean.replaceAll(secret, name);
    return clean;
  }

  /** Of the body of a request. What a client makes at random is let go. */
  request(path: string, body: unknown): unknown {
    if (typeof body !== 'object' || body === null) return body;
    const loose = path.endsWith('/import') ? 'ciphertext' : path.endsWith('/login') ? 'jwt' : undefined;
    const members = Object.entries(body).map(([name, value]) => [name, name === loose ? ANY : value]);
    // Nothing is learnt from it: secrets come from the server, and what else a test sends it sends in every run.
    return this.#replaced(Object.fromEntries(members));
  }

  #learn(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      if (SECRETS.has(name) && typeof member === 'string' && member !== '' && !this.#names.has(member)) {
        // A login puts a token's accessor beside it, and names are told by their members.
        this.#names.set(member, `scrubbed-${name.replaceAll('_', '-')}-${this.#names.size}`);
      } else this.#learn(member);
    }
  }

  #replaced(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#replaced(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, NOISE.has(name) && member ? 'x' : this.#replaced(member)]),
    );
  }
}
