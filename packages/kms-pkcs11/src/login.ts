import { createHmac, randomBytes } from 'node:crypto';
import { KmsError } from '@keywright/kms';
import { CKF, CKR, CKU_USER } from './constants.ts';
import type { Cryptoki, Handle } from './cryptoki.ts';
import { failedWith } from './failures.ts';
import type { Token } from './token.ts';

const MAX_REFUSED = 1_000;
const MARK_KEY = randomBytes(32);

/** PINs that a token refused, as marks that nothing else can be told from. They are not tried again in this process. */
const refused = new Set<string>();

/** States of a session whose user is logged in: CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS. */
const USER_STATES: ReadonlySet<number> = new Set([1, 3]);

export function isLoggedIn(cryptoki: Cryptoki, session: Handle): boolean {
  return USER_STATES.has(cryptoki.C_GetSessionInfo(session).state);
}

/**
 * Logs this process in, which all its sessions on the token share. A token locks a PIN after a few wrong ones, so one
 * that was refused is not shown to it again, and none at all when the next wrong one would be the last.
 *
 * @throws KmsError `ERR_KMS_CREDENTIALS` when the token refuses the PIN, `ERR_KMS_PIN_LOCKED` when it is not asked
 */
export function login(cryptoki: Cryptoki, session: Handle, token: Token, library: string, pin: string): void {
  if ((token.flags & CKF.LOGIN_REQUIRED) === 0 || isLoggedIn(cryptoki, session)) return;
  const mark = createHmac('sha256', MARK_KEY)
    .update(JSON.stringify([library, token.manufacturer, token.serial, token.label, pin]))
    .digest('base64');
  if ((token.flags & (CKF.USER_PIN_LOCKED | CKF.USER_PIN_FINAL_TRY)) !== 0 || refused.has(mark)) {
    throw new KmsError('ERR_KMS_PIN_LOCKED');
  }
  try {
    cryptoki.C_Login(session, CKU_USER, pin);
  } catch (error) {
    if (failedWith(error, CKR.USER_ALREADY_LOGGED_IN)) return;
    if (failedWith(error, CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE)) {
      if (refused.size >= MAX_REFUSED) refused.delete(refused.values().next().value as string);
      refused.add(mark);
    }
    throw error;
  }
}
