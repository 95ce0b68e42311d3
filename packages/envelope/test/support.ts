import { createKeyring, type Keyring } from '@keywright/envelope';

/** Keys that are the same in every run: nothing here may depend on which bytes they are. */
export const KEYS: Readonly<Record<'v1' | 'v2', Buffer>> = {
  v1: Buffer.alloc(32, 1),
  v2: Buffer.from(Array.from({ length: 32 }, (_, index) => index)),
};

export function testKeyring(activeKid: keyof typeof KEYS = 'v1'): Keyring {
  return createKeyring({ keys: KEYS, activeKid });
}

/** What `work` throws; work that returns fails the test. */
export function thrown(work: () => unknown): Error & { code?: string } {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected an error');
}

export const CONTEXT = { tenant: 'acme', table: 'connections', column: 'credentials', id: '42' };

/** Bytes of any realm and any Buffer, to compare by. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
