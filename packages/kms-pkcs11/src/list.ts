import { setImmediate as nextTurn } from 'node:timers/promises';
import { CKA, CKO } from './constants.ts';
import { isStaleHandle } from './failures.ts';
import { nameIn } from './objects.ts';
import type { Session } from './session.ts';

const READ_AT_ONCE = 100;

/**
 * Names of the key pairs that are ours, in order; those of which one half is left too. A template cannot ask for the
 * beginning of a label, so all labels are read, and the event loop has its turn in between.
 */
export async function listNames(session: Session): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const keyClass of [CKO.PRIVATE_KEY, CKO.PUBLIC_KEY]) {
    const objects = session.find([
      { type: CKA.CLASS, value: keyClass },
      { type: CKA.TOKEN, value: true },
    ]);
    for (const [index, object] of objects.entries()) {
      if (index % READ_AT_ONCE === READ_AT_ONCE - 1) await nextTurn();
      try {
        const name = nameIn(session.attribute(object, CKA.LABEL));
        if (name !== undefined) names.add(name);
      } catch (error) {
        // It was deleted meanwhile; whether the token is there is asked below.
        if (!isStaleHandle(error)) throw error;
      }
    }
  }
  session.assertWell();
  return [...names].sort();
}
