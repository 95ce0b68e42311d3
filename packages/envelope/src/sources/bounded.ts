import { tooLarge } from './content.ts';
import { MAX_SECRET_BYTES } from './source.ts';

/** Room for the frame around a secret of the largest size: JSON escapes, base64, metadata. */
export const MAX_ANSWER_BYTES: number = 4 * MAX_SECRET_BYTES;

/**
 * Reads a body to its end, or stops it at the limit.
 * @throws KeySourceError `ERR_KEY_SOURCE_TOO_LARGE`
 */
export async function readBounded(
  body: AsyncIterable<Uint8Array> & { destroy?(): unknown },
  driver: string,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) {
      body.destroy?.();
      throw tooLarge(driver);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
