import { hash, type JsonWebKey } from 'node:crypto';
import { expect } from 'vitest';
import type { SignAlg } from '../algorithms.ts';
import type { KmsCapabilities } from '../capabilities.ts';
import { KmsError, type KmsErrorCode } from '../errors.ts';
import type { KmsKey, KmsKeyRef, KmsProvider, WrappingKeyRef } from '../provider.ts';

/** A provider on a backend that runs. Labels are fixed texts, unique in the suite: same label, same request. */
export interface KmsSetup {
  readonly provider: KmsProvider;
  /** Texts that may never show: tokens, PINs, keys. */
  readonly secrets?: readonly string[] | undefined;
  /** Two tenants. @default `conformance-a` and `conformance-b` */
  readonly tenants?: ((label: string) => readonly [string, string]) | undefined;
  /** What the backend is to call a key, for backends that are recorded: see {@link nameOf}. @default random */
  readonly names?: ((label: string) => string) | undefined;
  /** A wrapping key. @default one that `createWrappingKey()` makes */
  readonly wrappingKey?: ((label: string) => Promise<WrappingKeyRef>) | undefined;
  /** The public key as something other than the provider reads it from the backend. */
  readonly backendPublicKey?: ((key: KmsKeyRef) => Promise<JsonWebKey>) | undefined;
  /** Requests (or operations) that the backend had so far. */
  readonly backendCalls?: (() => number) | undefined;
  /** Everything that is stored on this side of the backend; it is searched for private keys. */
  readonly atRest?: (() => Promise<string | Uint8Array>) | undefined;
  /** What was logged so far. */
  readonly logged?: (() => string) | undefined;
  /** A provider of the same type where nobody answers. Closed by the suite. */
  readonly unreachable?: (() => KmsProvider) | undefined;
  dispose(): Promise<void>;
}

export interface KmsHarness {
  /** What the provider must declare once it has met its backend: neither more nor less. */
  readonly capabilities: KmsCapabilities;
  /**
   * Whether a key is refused to another tenant than its own. Where a backend knows keys by their id alone, the host's
   * table keeps tenants apart: `false`.
   * @default true
   */
  readonly tenantsApart?: boolean | undefined;
  /** Most data that a key of an algorithm signs, where it is under 1 MiB; more is refused as an invalid argument. */
  readonly maxDataBytes?: Readonly<Partial<Record<SignAlg, number>>> | undefined;
  /**
   * Whether an RSA key of the backend signs with every RSA algorithm. Where making one takes long, one is made for all.
   * @default false: one for each algorithm
   */
  readonly sharesRsaKeys?: boolean | undefined;
  /** Called once for the suite. */
  start(): Promise<KmsSetup>;
}

/** One thing that a provider must do. */
export interface Check {
  readonly title: string;
  run(subject: Subject): Promise<void>;
}

/** The checks of one theme, for a backend that can do what its harness says. */
export type Theme = (harness: KmsHarness) => readonly Check[];

/** A setup, as checks use it. */
export class Subject {
  readonly setup: KmsSetup;
  readonly harness: KmsHarness;

  constructor(harness: KmsHarness, setup: KmsSetup) {
    this.harness = harness;
    this.setup = setup;
  }

  get provider(): KmsProvider {
    return this.setup.provider;
  }

  tenants(label: string): readonly [string, string] {
    return this.setup.tenants?.(label) ?? ['conformance-a', 'conformance-b'];
  }

  /** Members of `createKey` and `importKey` that make the request the same in every run, where the backend is recorded. */
  input(
    label: string,
    over: { tenantId?: string; keyId?: string } = {},
  ): {
    tenantId: string;
    keyId: string;
    name: string | undefined;
  } {
    return { tenantId: this.tenants(label)[0], keyId: 'k1', name: this.setup.names?.(label), ...over };
  }

  /** A new key of an algorithm. */
  async key(label: string, alg: SignAlg = this.harness.capabilities.defaultAlg): Promise<KmsKey> {
    return await this.provider.createKey({ ...this.input(label), alg });
  }

  async wrappingKey(label: string): Promise<WrappingKeyRef> {
    return await (this.setup.wrappingKey?.(label) ?? this.provider.createWrappingKey());
  }
}

/** Algorithms by the key that is made for them. */
export function byKey(algs: readonly SignAlg[], { sharesRsaKeys }: KmsHarness): readonly (readonly SignAlg[])[] {
  return sharesRsaKeys === true ? [...Map.groupBy(algs, kindOf).values()] : algs.map((alg) => [alg]);
}

/** What a key is, whatever the hash and padding. */
export function kindOf(alg: SignAlg): string {
  return alg.startsWith('RS') || alg.startsWith('PS') ? 'RSA' : alg;
}

/** A name for a key that is the same in every run: 32 digits of a hash of the label. Only for recorded backends. */
export function nameOf(label: string): string {
  return hash('sha256', label, 'hex').slice(0, 32);
}

/** The error that a call is refused with; one that succeeds fails the test. */
export async function refusal(call: Promise<unknown>): Promise<KmsError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, 'the call must be refused').toBeInstanceOf(Error);
  return error as KmsError;
}

/** Expects a refusal by one of these codes. */
export async function expectRefusal(call: Promise<unknown>, ...codes: readonly KmsErrorCode[]): Promise<KmsError> {
  const error = await refusal(call);
  expect(error).toBeInstanceOf(KmsError);
  expect(codes).toContain(error.code);
  return error;
}

/** The same bytes in every run. */
export function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) % 256);
}
