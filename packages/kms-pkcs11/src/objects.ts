import { KmsError } from '@keywright/kms';
import { CKA } from './constants.ts';
import type { Handle } from './cryptoki.ts';
import { failedWith, isStaleHandle } from './failures.ts';
import type { Session } from './session.ts';

const LABEL_PREFIX = 'keywright:';
const NAME = /^[0-9a-f]{32}$/;

/** CKA_LABEL of the objects of a key. */
export function labelOf(name: string): string {
  return `${LABEL_PREFIX}${name}`;
}

/** Whether a key was named by us. */
export function isName(externalId: string): boolean {
  return NAME.test(externalId);
}

/** CKA_ID of the objects of a key; `undefined` for what is no name of ours. */
export function idOf(name: string): Buffer | undefined {
  return NAME.test(name) ? Buffer.from(name, 'hex') : undefined;
}

/** The name in a label; `undefined` for an object that is not ours. */
export function nameIn(label: Buffer): string | undefined {
  const text = label.toString('utf8');
  const name = text.startsWith(LABEL_PREFIX) ? text.slice(LABEL_PREFIX.length) : '';
  return NAME.test(name) ? name : undefined;
}

/**
 * The one object of a class that is the key's, by its id and its label.
 * @returns `undefined` if there is none
 * @throws KmsError `ERR_KMS_KEY_MISMATCH` if there are several, or it has another label: nothing is guessed
 */
export function findObject(session: Session, keyClass: number, name: string): Handle | undefined {
  const id = idOf(name);
  if (id === undefined) return undefined;
  const [object, other] = session.find([
    { type: CKA.CLASS, value: keyClass },
    { type: CKA.ID, value: id },
  ]);
  if (object === undefined) return undefined;
  if (other !== undefined)
    throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { expected: 'one object of its id' } });
  if (nameIn(session.attribute(object, CKA.LABEL)) !== name) {
    throw new KmsError('ERR_KMS_KEY_MISMATCH', { context: { expected: 'an object with its label' } });
  }
  return object;
}

/**
 * Destroys objects, the next one also when one fails; one that is gone is destroyed.
 * @throws the failure, or an AggregateError of several
 */
export function destroyAll(session: Session, objects: readonly (Handle | undefined)[]): void {
  const failures: unknown[] = [];
  for (const object of objects) {
    try {
      if (object !== undefined) session.destroy(object);
    } catch (error) {
      if (!isStaleHandle(error)) failures.push(error);
    }
  }
  if (failures.length > 1) throw new AggregateError(failures);
  if (failures.length > 0) throw failures[0];
}

/**
 * Destroys what was made in vain, and gives the error to throw: `error`, or where the token keeps the objects, one that
 * says so, for the host to look for them.
 */
export function undone(session: Session, objects: readonly (Handle | undefined)[], error: unknown): unknown {
  try {
    destroyAll(session, objects);
    return error;
  } catch (cause) {
    return new KmsError('ERR_KMS_BACKEND', { context: { state: 'creating' }, cause });
  }
}

/** A boolean attribute; `undefined` where the token does not have it. */
export function flagOf(
  session: Session,
  object: Handle,
  type: number,
  ...absent: readonly number[]
): boolean | undefined {
  try {
    return session.attribute(object, type)[0] === 1;
  } catch (error) {
    if (failedWith(error, ...absent)) return undefined;
    throw error;
  }
}
