import type { KeywrightError } from '@keywright/envelope';
import type { SecretLocator } from '../../locator.ts';
import type { Secret } from '../../secret.ts';

/** What `getMany` says of one secret: its value, or why there is none. */
export type SecretResult =
  | { readonly outcome: 'found'; readonly locator: SecretLocator; readonly secret: Secret }
  | { readonly outcome: 'refused'; readonly locator: SecretLocator; readonly error: KeywrightError };
