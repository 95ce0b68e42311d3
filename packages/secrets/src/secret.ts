import { inspect } from 'node:util';
import type { JsonValue } from '@keywright/envelope';
import type { Metadata } from './arguments.ts';
import type { SecretType, SecretValue } from './value.ts';

/** A secret without its value. */
export interface SecretInfo {
  /** Immutable; survives a rename and a rotation of the value. */
  readonly id: string;
  readonly name: string;
  /** Newest version. */
  readonly currentVersion: number;
  /** What the host says the secret is (`api_key`, `oauth`, …); not interpreted. */
  readonly authType: string | null;
  readonly metadata: Metadata;
  /** What it is for, in the clear. */
  readonly description: string | null;
  /** Labels to find it by, in the clear. */
  readonly tags: readonly string[];
  /** Actor who saved it first; null for a secret older than this record. */
  readonly createdBy: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** From then on its value is read no more. */
  readonly expiresAt: Date | null;
  /** When it was deleted; null while it lives. */
  readonly deletedAt: Date | null;
  /** Whether it is changed only with `expectedVersion`. */
  readonly casRequired: boolean;
  /** How many of its newest versions are kept; null where the store's own limit holds. */
  readonly maxVersions: number | null;
}

/** One version of a secret, without its value. */
export interface SecretVersionInfo {
  readonly version: number;
  readonly createdAt: Date;
  /** Actor who saved it. */
  readonly createdBy: string;
  /** When its value was destroyed; null while it can be read. */
  readonly destroyedAt: Date | null;
  readonly current: boolean;
}

interface SecretBase extends SecretInfo {
  /** The version that was read. */
  readonly version: number;
}

/**
 * A secret with its value. The value is a getter that neither `console.log`, `util.inspect` nor `JSON.stringify` sees;
 * `type` tells what it is.
 */
export type Secret =
  | (SecretBase & { readonly type: 'text'; readonly value: string })
  | (SecretBase & { readonly type: 'json'; readonly value: JsonValue })
  | (SecretBase & { readonly type: 'bytes'; readonly value: Uint8Array });

class ReadSecret {
  readonly #value: SecretValue;

  constructor(info: SecretInfo, version: number, type: SecretType, value: SecretValue) {
    Object.assign(this, info, { version, type });
    this.#value = value;
  }

  get value(): SecretValue {
    return this.#value;
  }

  toJSON(): object {
    return { ...this, value: '[secret]' };
  }

  [inspect.custom](): object {
    return { ...this, value: '[secret]' };
  }
}

export function makeSecret(info: SecretInfo, version: number, type: SecretType, value: SecretValue): Secret {
  return Object.freeze(new ReadSecret(info, version, type, value)) as unknown as Secret;
}
