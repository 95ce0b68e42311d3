import type { KeyWrapper } from '@keywright/envelope';
import { invalidArgument, kindOf } from '../../arguments.ts';

/** @throws KmsError `ERR_KMS_INVALID_ARGUMENT` */
export function checkRoot(root: unknown): KeyWrapper {
  const { activeKid, wrapKey, unwrapKey } = (root ?? {}) as Partial<KeyWrapper>;
  if (typeof activeKid === 'string' && typeof wrapKey === 'function' && typeof unwrapKey === 'function') {
    return root as KeyWrapper;
  }
  throw invalidArgument('root', 'a KeyWrapper, such as a keyring', kindOf(root));
}
