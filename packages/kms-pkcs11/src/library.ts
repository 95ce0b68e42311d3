import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { KmsError } from '@keywright/kms';
import { CKF, CKR } from './constants.ts';
import type { Cryptoki, Pkcs11Binding } from './cryptoki.ts';
import { failedWith } from './failures.ts';

/** How long a stop waits for calls that are in the library, in milliseconds. */
const DRAIN_MS = 2_500;
/** How long it runs at least when a start would disturb others, in milliseconds. */
const UNDISTURBED_MS = 10_000;

/** Whoever has sessions of a library. */
export interface LibraryUser {
  readonly isConnected: boolean;
  /** The library starts again: sessions and handles are no more. */
  dropConnection(): void;
  /** Calls may be made again. */
  resume(): void;
}

export interface LibrarySource {
  readonly library: string;
  readonly libraryParameters: string | undefined;
  readonly binding: Pkcs11Binding | undefined;
}

const libraries = new WeakMap<Pkcs11Binding['PKCS11'], Map<string, Library>>();

/**
 * The library at a path, loaded; its users start it with `restart`. A process has it once, however many providers use it: C_Initialize is allowed once.
 * @throws KmsError `ERR_KMS_LIBRARY_MISSING`, `ERR_KMS_CONFIG` where it runs with other parameters
 */
export async function joinLibrary(source: LibrarySource, user: LibraryUser): Promise<Library> {
  const { PKCS11 } = source.binding ?? (await loadBinding());
  const path = realPath(source.library);
  const known = libraries.get(PKCS11) ?? new Map<string, Library>();
  libraries.set(PKCS11, known);
  let library = known.get(path);
  if (library === undefined) {
    library = new Library(path, loaded(new PKCS11(), path));
    known.set(path, library);
  }
  library.join(user, source.libraryParameters);
  return library;
}

async function loadBinding(): Promise<Pkcs11Binding> {
  try {
    const imported = (await import('pkcs11js')) as unknown as { readonly default?: Pkcs11Binding } & Pkcs11Binding;
    return imported.default ?? imported;
  } catch (cause) {
    throw new KmsError('ERR_KMS_LIBRARY_MISSING', { context: { driver: 'pkcs11js' }, cause });
  }
}

function realPath(library: string): string {
  try {
    return realpathSync(library);
  } catch (cause) {
    throw new KmsError('ERR_KMS_LIBRARY_MISSING', { context: { driver: 'pkcs11', field: 'library' }, cause });
  }
}

function loaded(cryptoki: Cryptoki, path: string): Cryptoki {
  try {
    cryptoki.load(path);
    return cryptoki;
  } catch (cause) {
    throw new KmsError('ERR_KMS_LIBRARY_MISSING', { context: { driver: 'pkcs11', field: 'library' }, cause });
  }
}

/**
 * A loaded library. It stays loaded while the process lives: unloading one that has threads of its own is not safe.
 */
export class Library {
  readonly path: string;
  readonly cryptoki: Cryptoki;
  /** Calls that are in the library on other threads. */
  #running = 0;
  /** Whether no call may begin, because the library is being started again. */
  #held = false;
  #started = false;
  #startedAt = 0;
  /** Whether this thread started it: no other stops it. */
  #own = false;
  #parameters: string | undefined;
  /** Grows with every start: numbers of sessions begin anew. */
  #generation = 0;
  readonly #users = new Set<LibraryUser>();
  #restarting: Promise<void> | undefined;

  constructor(path: string, cryptoki: Cryptoki) {
    this.path = path;
    this.cryptoki = cryptoki;
  }

  get held(): boolean {
    return this.#held;
  }

  get isStarted(): boolean {
    return this.#started;
  }

  get generation(): number {
    return this.#generation;
  }

  join(user: LibraryUser, parameters: string | undefined): void {
    if (this.#users.size > 0 && parameters !== this.#parameters) {
      const expected = 'the parameters that the library runs with in this process, or none of its own process';
      throw new KmsError('ERR_KMS_CONFIG', { context: { field: 'libraryParameters', expected } });
    }
    this.#parameters = parameters;
    this.#users.add(user);
  }

  /** Stops the library with its last user, unless a call is stuck in it. */
  async leave(user: LibraryUser): Promise<void> {
    this.#users.delete(user);
    if (this.#users.size > 0 || !(await this.#drained(() => this.#users.size > 0))) return;
    this.#stop();
  }

  begin(): void {
    this.#running++;
  }

  end(): void {
    this.#running--;
  }

  /** C_Initialize. That another part of the process did it already is fine. */
  #start(): void {
    if (this.#started) return;
    this.#generation++;
    const flags = CKF.OS_LOCKING_OK;
    // pkcs11js 2.1.7 loses the last character of the parameters.
    const parameters = this.#parameters === undefined ? {} : { libraryParameters: `${this.#parameters} ` };
    try {
      this.cryptoki.C_Initialize({ flags, ...parameters });
      this.#own = true;
    } catch (error) {
      if (!failedWith(error, CKR.CRYPTOKI_ALREADY_INITIALIZED)) throw error;
      this.#own = false;
    }
    this.#started = true;
    this.#startedAt = performance.now();
  }

  /** Somebody else stopped it. */
  wasStopped(): void {
    this.#started = false;
    this.#own = false;
  }

  /**
   * C_Finalize and C_Initialize: some libraries see a token that is back only then. It waits for the calls that are
   * under way, as one could meet a new session under the number of its old one. Sessions of all users are lost, and
   * opened again by each.
   * @throws KmsError `ERR_KMS_UNAVAILABLE` if a call does not return
   */
  restart(asker: LibraryUser): Promise<void> {
    this.#restarting ??= this.#restart(asker).finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  async #restart(asker: LibraryUser): Promise<void> {
    if (this.#started && (!this.#mayStop || this.#wouldDisturb(asker))) return;
    this.#held = true;
    try {
      if (!(await this.#drained(() => false))) throw new KmsError('ERR_KMS_UNAVAILABLE');
      for (const user of this.#users) user.dropConnection();
      this.#stop();
      this.#start();
    } finally {
      this.#held = false;
      for (const user of this.#users) user.resume();
    }
  }

  /** One token that is away must not cost the others of its library their sessions over and over. */
  #wouldDisturb(asker: LibraryUser): boolean {
    const others = [...this.#users].some((user) => user !== asker && user.isConnected);
    return others && performance.now() < this.#startedAt + UNDISTURBED_MS;
  }

  /** Another thread may be inside, and it alone could know: only the main thread stops what it started. */
  get #mayStop(): boolean {
    return this.#own && isMainThread;
  }

  #stop(): void {
    if (!this.#mayStop) return;
    this.wasStopped();
    try {
      this.cryptoki.C_Finalize();
    } catch (error) {
      if (!failedWith(error, CKR.CRYPTOKI_NOT_INITIALIZED)) throw error;
    }
  }

  /** Until no call is in the library. Whether that came to be. */
  async #drained(until: () => boolean): Promise<boolean> {
    for (const deadline = performance.now() + DRAIN_MS; this.#running > 0; await sleep(5)) {
      if (until() || performance.now() > deadline) return false;
    }
    return !until();
  }
}
