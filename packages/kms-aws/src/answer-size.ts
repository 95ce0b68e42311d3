const MAX_ANSWER_BYTES = 1024 * 1024;

/** What is needed of a client to bound its answers. Described here, so that no SDK type is published. */
interface MiddlewareStack {
  add(
    middleware: (
      next: (args: never) => Promise<{ response: unknown }>,
    ) => (args: never) => Promise<{ response: unknown }>,
    options: { step: 'deserialize'; priority: 'low'; name: string },
  ): void;
}

/** An answer that is longer than any of AWS KMS is. */
export class AnswerTooLarge extends Error {
  constructor() {
    super(`more than ${MAX_ANSWER_BYTES} bytes`);
  }
}

/** Reads the body of every answer before the SDK does, and no further than 1 MiB: the SDK reads all of it. */
export function boundAnswers(client: { readonly middlewareStack: unknown }): void {
  const stack = client.middlewareStack as MiddlewareStack;
  stack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body?: AsyncIterable<Uint8Array> & { destroy?(): unknown } };
      if (response.body !== undefined) Object.assign(response, { body: await readBounded(response.body) });
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'keywrightBoundedAnswer' },
  );
}

async function readBounded(body: AsyncIterable<Uint8Array> & { destroy?(): unknown }): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.byteLength;
    if (length > MAX_ANSWER_BYTES) {
      body.destroy?.();
      throw new AnswerTooLarge();
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
