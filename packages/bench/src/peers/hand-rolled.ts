import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';

/** What an application stores that calls `node:crypto` itself: no version, no key id, no context, no commitment. */
export interface HandRolledValue {
  readonly iv: string;
  readonly ct: string;
  readonly tag: string;
}

/**
 * As the documentation of `node:crypto` spells an AEAD: GCM is a stream, so `final` has nothing to add. Its copies are
 * as few as a careful author makes them, so it is the harder one to keep up with.
 */
export const handRolled = {
  seal(key: KeyObject | Buffer, value: object): HandRolledValue {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    const ct = cipher.update(JSON.stringify(value), 'utf8');
    cipher.final();
    return {
      iv: iv.toString('base64'),
      ct: ct.toString('base64'),
      tag: cipher.getAuthTag().toString('base64'),
    };
  },

  open(key: KeyObject | Buffer, sealed: HandRolledValue): unknown {
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(sealed.iv, 'base64'));
    decipher.setAuthTag(Buffer.from(sealed.tag, 'base64'));
    const plaintext = decipher.update(Buffer.from(sealed.ct, 'base64'));
    decipher.final();
    return JSON.parse(plaintext.toString('utf8'));
  },
} as const;

/** As most tutorials spell it: the outputs of `update` and `final` are put together. */
export const handRolledConcat = {
  seal(key: KeyObject | Buffer, value: object): HandRolledValue {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    const ct = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
    return {
      iv: iv.toString('base64'),
      ct: ct.toString('base64'),
      tag: cipher.getAuthTag().toString('base64'),
    };
  },

  open(key: KeyObject | Buffer, sealed: HandRolledValue): unknown {
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(sealed.iv, 'base64'));
    decipher.setAuthTag(Buffer.from(sealed.tag, 'base64'));
    const plaintext = Buffer.concat([decipher.update(Buffer.from(sealed.ct, 'base64')), decipher.final()]);
    return JSON.parse(plaintext.toString('utf8'));
  },
} as const;
