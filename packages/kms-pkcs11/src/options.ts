import { isAbsolute } from 'node:path';
import { isKeywrightError } from '@keywright/envelope';
import { type ProviderOptions, parsePkcs11Uri } from '@keywright/kms';
import { checkFlag, checkInteger, checkText, invalidArgument, kindOf } from './arguments.ts';
import type { Pkcs11Binding } from './cryptoki.ts';
import type { LinkSettings } from './link.ts';
import type { TokenChoice } from './token.ts';

/** Options of `pkcs11Provider`. The token is named in one way: `slot`, `slotId`, `serial` or `uri`. */
export interface Pkcs11ProviderOptions extends Pick<ProviderOptions, 'id' | 'timeoutMs' | 'publicKeyTtlMs'> {
  /** Absolute path of the vendor's library. It runs in this process: it is the host's to choose, never a tenant's. */
  readonly library: string;
  /** A number is the position in the list of slots with a token, from 0; a string the token's label. */
  readonly slot?: number | string | undefined;
  /** The slot's own number, CK_SLOT_ID. */
  readonly slotId?: number | undefined;
  /** The token's serial number. */
  readonly serial?: string | undefined;
  /** A PKCS #11 URI (RFC 7512) of a token: `token`, `serial`, `manufacturer`, `model`, `slot-id`, `pin-value`. */
  readonly uri?: string | undefined;
  /** PIN of the token's user. Required, here or in the URI. */
  readonly pin?: string | undefined;
  /**
   * Whether sessions are opened without the right to make and delete keys.
   * @default false
   */
  readonly readOnly?: boolean | undefined;
  /** What the library wants at its start, as NSS does. */
  readonly libraryParameters?: string | undefined;
  /**
   * Calls that are in the token at once. More than libuv has threads (`UV_THREADPOOL_SIZE`, 4 by default) wait there. In
   * software tokens, which compute in this process, no more than it has processors.
   * @default 4
   */
  readonly sessions?: number | undefined;
  /**
   * Calls that wait for a session; more are refused with `ERR_KMS_THROTTLED`.
   * @default 1024
   */
  readonly maxWaiting?: number | undefined;
  /**
   * The module pkcs11js, or one of its shape.
   * @default the installed pkcs11js, loaded with the first call
   */
  readonly module?: Pkcs11Binding | undefined;
}

/** Options that were checked, copied and completed. */
export type Pkcs11Settings = LinkSettings;

const DEFAULTS = Object.freeze({ sessions: 4, maxWaiting: 1_024 });
const MAX_SESSIONS = 1_024;
const MAX_WAITING = 1_000_000;
const MAX_PATH = 4_096;
const MAX_PIN = 1_024;
/** Of labels (32 bytes) and serial numbers (16), and some more. */
const MAX_NAME = 64;
const MAX_PARAMETERS = 8_192;

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkOptions(options: Pkcs11ProviderOptions): Pkcs11Settings {
  if (typeof options !== 'object' || options === null) throw invalidArgument('options', 'an object', kindOf(options));
  try {
    return read(options);
  } catch (error) {
    if (isKeywrightError(error)) throw error;
    throw invalidArgument('options', 'an object whose members can be read', 'an object that throws');
  }
}

function read(options: Pkcs11ProviderOptions): Pkcs11Settings {
  const { slot, slotId, serial, uri, pin, libraryParameters, module } = options;
  const library = checkText(options.library, 'library', MAX_PATH);
  if (!isAbsolute(library)) throw invalidArgument('library', 'an absolute path', 'another path');
  const named = [slot, slotId, serial, uri].filter((way) => way !== undefined).length;
  if (named !== 1)
    throw invalidArgument('slot', 'one of slot, slotId, serial and uri', named === 0 ? 'none' : 'several');
  const meant =
    uri === undefined ? { choice: checkChoice(slot, slotId, serial), pin: undefined } : readUri(uri, library);
  if (pin !== undefined && meant.pin !== undefined) throw invalidArgument('pin', 'pin or pin-value of the URI', 'both');
  return Object.freeze({
    library,
    libraryParameters:
      libraryParameters === undefined ? undefined : checkText(libraryParameters, 'libraryParameters', MAX_PARAMETERS),
    binding: module === undefined ? undefined : checkModule(module),
    choice: Object.freeze(meant.choice),
    pin: checkText(pin ?? meant.pin, 'pin', MAX_PIN),
    readOnly: checkFlag(options.readOnly, 'readOnly'),
    sessions: checkInteger(options.sessions ?? DEFAULTS.sessions, 'sessions', 1, MAX_SESSIONS),
    maxWaiting: checkInteger(options.maxWaiting ?? DEFAULTS.maxWaiting, 'maxWaiting', 1, MAX_WAITING),
  });
}

function checkChoice(slot: unknown, slotId: unknown, serial: unknown): TokenChoice {
  if (slotId !== undefined) return { slotId: checkInteger(slotId, 'slotId', 0, Number.MAX_SAFE_INTEGER) };
  if (serial !== undefined) return { serial: checkText(serial, 'serial', MAX_NAME) };
  if (typeof slot === 'number') return { slotIndex: checkInteger(slot, 'slot', 0, 0xffff) };
  if (typeof slot === 'string') return { label: checkText(slot, 'slot', MAX_NAME) };
  throw invalidArgument('slot', 'a number or the label of a token', kindOf(slot));
}

/** A URI of a token. What it says beyond that is refused: passed over, another token might be taken. */
function readUri(text: unknown, library: string): { readonly choice: TokenChoice; readonly pin: string | undefined } {
  const uri = parsePkcs11Uri(text as string);
  const { token: label, serial, manufacturer, model, slotId, modulePath, pinValue, ...more } = uri;
  if (Object.values(more).some((value) => value !== undefined)) {
    throw invalidArgument('uri', 'token, serial, manufacturer, model, slot-id, module-path and pin-value', 'others');
  }
  if (modulePath !== undefined && modulePath !== library) {
    throw invalidArgument('uri', 'the module-path that library has', 'another one');
  }
  const choice = { label, serial, manufacturer, model, slotId };
  if (label === undefined && serial === undefined && slotId === undefined) {
    throw invalidArgument('uri', 'token, serial or slot-id', 'none of them');
  }
  return { choice, pin: pinValue };
}

function checkModule(module: Pkcs11Binding): Pkcs11Binding {
  if (typeof module === 'object' && module !== null && typeof module.PKCS11 === 'function') return module;
  throw invalidArgument('module', 'the module pkcs11js', kindOf(module));
}
