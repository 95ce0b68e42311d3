import { readFileSync } from 'node:fs';

/** What goes in and comes out again. */
export interface Payloads {
  readonly object: object;
  readonly text: string;
  readonly bytes: Uint8Array;
}

export type Form = keyof Payloads;

export type Context = Readonly<Record<string, string>>;

/** One form of a library that has its key. `Sealed` is what a database would keep, in one piece. */
export interface Codec<Payload, Sealed = unknown> {
  seal(payload: Payload, context: Context): Sealed | Promise<Sealed>;
  open(sealed: Sealed, context: Context): Payload | Promise<Payload>;
}

export type Codecs = { readonly [F in Form]?: Codec<Payloads[F]> };

/** A library in the fastest way of use that it documents for a key of 32 bytes. One file in `peers/` each. */
export interface Peer {
  readonly name: string;
  /** Of the installed package. */
  readonly version: string;
  readonly forms: readonly Form[];
  /** `aead`: a cipher for envelopes to be made of. It is shown, but its task is a smaller one, so it is not to be beaten. */
  readonly level: 'envelope' | 'aead';
  /** Whether what was sealed opens under no other context. */
  readonly binds: boolean;
  /** Markdown: how it is used, what it does less or more than the others. */
  readonly about: string;
  /** The forms, ready to use. Not part of what is timed. */
  readonly load: (key: Buffer) => Codecs | Promise<Codecs>;
}

/** The version of an installed dependency of this package. */
export function versionOf(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** A context as associated data, for libraries that take bytes. */
export function contextBytes(context: Context): Buffer {
  return Buffer.from(JSON.stringify(context));
}
