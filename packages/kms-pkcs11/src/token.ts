import { KmsError } from '@keywright/kms';
import { CKF } from './constants.ts';
import type { Cryptoki, Handle, TokenInfo } from './cryptoki.ts';

/** Which token is meant. All that is given has to fit. */
export interface TokenChoice {
  /** Position in the list of slots that have a token. */
  readonly slotIndex?: number | undefined;
  readonly slotId?: number | undefined;
  readonly label?: string | undefined;
  readonly serial?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly model?: string | undefined;
}

/** A token in its slot, its texts without padding. */
export interface Token {
  readonly slot: Handle;
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly flags: number;
}

/**
 * The token that is meant: one, and the same as before.
 * @param before the token of the last connection: an index may lead to another one by now, which must not see our PIN
 * @throws KmsError `ERR_KMS_UNAVAILABLE` if it is not there, `ERR_KMS_CONFIG` if several fit
 */
export function chooseToken(cryptoki: Cryptoki, choice: TokenChoice, before?: Token): Token {
  const slots = cryptoki.C_GetSlotList(true);
  const candidates = choice.slotIndex === undefined ? slots : slots.slice(choice.slotIndex, choice.slotIndex + 1);
  const fitting = candidates
    .filter((slot) => choice.slotId === undefined || numberOf(slot) === BigInt(choice.slotId))
    .map((slot) => tokenIn(slot, cryptoki.C_GetTokenInfo(slot)))
    .filter((token) => fits(token, choice) && (before === undefined || isSame(token, before)));
  const [token, other] = fitting;
  if (token === undefined) {
    throw new KmsError('ERR_KMS_UNAVAILABLE', { context: { expected: 'the token that is configured, in a slot' } });
  }
  if (other !== undefined) {
    const expected = 'one token; give slotId or serial, which no two have';
    throw new KmsError('ERR_KMS_CONFIG', { context: { field: 'slot', expected, count: fitting.length } });
  }
  return token;
}

function fits(token: Token, { label, serial, manufacturer, model }: TokenChoice): boolean {
  return (
    (token.flags & CKF.TOKEN_INITIALIZED) !== 0 &&
    (label === undefined || token.label === label) &&
    (serial === undefined || token.serial === serial) &&
    (manufacturer === undefined || token.manufacturer === manufacturer) &&
    (model === undefined || token.model === model)
  );
}

function isSame(token: Token, before: Token): boolean {
  return token.serial === before.serial && token.label === before.label && token.manufacturer === before.manufacturer;
}

function tokenIn(slot: Handle, info: TokenInfo): Token {
  return Object.freeze({
    slot,
    label: unpadded(info.label),
    serial: unpadded(info.serialNumber),
    manufacturer: unpadded(info.manufacturerID),
    model: unpadded(info.model),
    flags: info.flags,
  });
}

// Blanks, by the standard; some libraries pad with zero bytes.
function unpadded(text: string): string {
  return text.replace(/[\0 ]+$/, '');
}

/** A handle as the library's unsigned long: 4 bytes on some platforms, 8 on the others. */
function numberOf(handle: Handle): bigint {
  return handle.byteLength === 4 ? BigInt(handle.readUInt32LE()) : handle.readBigUInt64LE();
}
