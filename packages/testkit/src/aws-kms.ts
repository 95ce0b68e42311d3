import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startMiniStack } from './ministack.ts';
import { startMoto } from './moto.ts';
import type { TestServer } from './postgres.ts';

/** An answer of AWS KMS, or of what stands before it. */
export interface AwsKmsAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One request, as it came in. */
export interface AwsKmsRequest {
  /** `Sign`, `CreateKey` … */
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly headers: IncomingHttpHeaders;
}

export interface AwsKmsServer extends TestServer {
  /** MiniStack by itself, for what is no matter of KMS: users and their policies. */
  readonly iamUrl: string;
  /** Every request so far. */
  readonly requests: readonly AwsKmsRequest[];
  /** Answers in place of AWS KMS where it returns something. */
  intercept(answer: ((request: AwsKmsRequest) => AwsKmsAnswer | undefined) | undefined): void;
}

interface Incoming extends AwsKmsRequest {
  /** Its body, as it came. */
  readonly text: string;
}

const USING = /^(?:Sign|GetPublicKey|Encrypt|Decrypt)$/;

/**
 * AWS KMS as far as two emulators have it, behind one address: MiniStack for keys that sign (it has Ed25519, digests,
 * PSS as AWS salts it, imports, states and IAM), moto for keys that encrypt (real AES-GCM, which MiniStack's is not).
 * Where neither does as AWS documents, this does:
 *
 * - `ListKeys` is cut into pages;
 * - a key that is disabled, as one is whose deletion was cancelled, is refused with `DisabledException`, which moto does
 *   not do, nor MiniStack where the public key is asked for;
 * - a key that is pending deletion is refused with `KMSInvalidStateException` by every operation that uses it, and by a
 *   second `ScheduleKeyDeletion`;
 * - `Decrypt` by another key than the ciphertext's is an `IncorrectKeyException`, where moto says `AccessDeniedException`.
 *
 * @throws TestServerError `ERR_TESTKIT_SERVER_UNREACHABLE`, `ERR_TESTKIT_SERVER_START_FAILED`
 */
export async function startAwsKms(): Promise<AwsKmsServer> {
  const [signing, encrypting] = await Promise.all([startMiniStack(), startMoto()]);
  const router = new Router(signing.url, encrypting.url);
  const server = createServer((incoming, response) => {
    router.serve(incoming, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    iamUrl: signing.url,
    requests: router.requests,
    intercept: (answer) => {
      router.intercepted = answer;
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await Promise.all([signing.stop(), encrypting.stop()]);
    },
  };
}

class Router {
  readonly requests: AwsKmsRequest[] = [];
  intercepted: ((request: AwsKmsRequest) => AwsKmsAnswer | undefined) | undefined;
  readonly #signing: string;
  readonly #encrypting: string;
  /** Ids and ARNs of keys that moto has. */
  readonly #encryptingKeys = new Set<unknown>();
  readonly #going = new Set<unknown>();
  readonly #disabled = new Set<unknown>();

  constructor(signing: string, encrypting: string) {
    this.#signing = signing;
    this.#encrypting = encrypting;
  }

  async serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await textOf(incoming);
    const operation = String(incoming.headers['x-amz-target'] ?? '').replace(/^.*\./, '');
    const input = JSON.parse(text || '{}') as Record<string, unknown>;
    const asked = { operation, input, headers: incoming.headers };
    this.requests.push(asked);
    const { status, body, headers } = this.intercepted?.(asked) ?? (await this.#answer({ ...asked, text }));
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', ...headers }).end(body);
  }

  async #answer(incoming: Incoming): Promise<AwsKmsAnswer> {
    const { operation, input } = incoming;
    const key = idOf(input.KeyId ?? input.TargetKeyId);
    if (this.#going.has(key) && (USING.test(operation) || operation === 'ScheduleKeyDeletion')) {
      return refusal('KMSInvalidStateException', `${String(input.KeyId)} is pending deletion.`);
    }
    if (this.#disabled.has(key) && USING.test(operation)) {
      return refusal('DisabledException', `${String(input.KeyId)} is disabled.`);
    }
    if (operation === 'ListKeys') return await this.#listKeys(incoming);
    const isEncrypting =
      operation === 'CreateKey' ? input.KeyUsage === 'ENCRYPT_DECRYPT' : this.#encryptingKeys.has(key);
    const answer = await forward(isEncrypting ? this.#encrypting : this.#signing, incoming);
    if (answer.status === 200) this.#note(incoming, key, isEncrypting, answer);
    if (isEncrypting && operation === 'Decrypt' && answer.body.includes('AccessDeniedException')) {
      return refusal('IncorrectKeyException', 'The key ID in the request does not identify a CMK that can do this.');
    }
    return answer;
  }

  #note({ operation }: AwsKmsRequest, key: unknown, isEncrypting: boolean, { body }: AwsKmsAnswer): void {
    if (operation === 'CreateKey' && isEncrypting) {
      const { KeyMetadata: metadata } = JSON.parse(body) as { KeyMetadata: { KeyId: string } };
      this.#encryptingKeys.add(metadata.KeyId);
    }
    if (operation === 'DisableKey') this.#disabled.add(key);
    if (operation === 'EnableKey') this.#disabled.delete(key);
    if (operation === 'ScheduleKeyDeletion') this.#going.add(key);
    if (operation === 'CancelKeyDeletion' && this.#going.delete(key)) this.#disabled.add(key);
  }

  /** The emulator lists without markers: once as who asks, for the permission, and once as root for all. */
  async #listKeys(incoming: Incoming): Promise<AwsKmsAnswer> {
    const { Limit: limit = 100, Marker: marker = '0' } = incoming.input as { Limit?: number; Marker?: string };
    const asked = await forward(this.#signing, incoming);
    if (asked.status !== 200) return asked;
    const root = {
      ...incoming.headers,
      authorization: String(incoming.headers.authorization).replace(/=[^/]+/, '=test'),
    };
    const answer = await forward(this.#signing, { ...incoming, headers: root, text: '{"Limit":1000000}' });
    const { Keys: keys } = JSON.parse(answer.body) as { Keys: unknown[] };
    const end = Number(marker) + limit;
    const more = end < keys.length ? { Truncated: true, NextMarker: String(end) } : { Truncated: false };
    return { status: 200, body: JSON.stringify({ Keys: keys.slice(Number(marker), end), ...more }) };
  }
}

/** Passes a request on as it came, its `Host` too: it is signed. */
async function forward(url: string, { headers, text }: Incoming): Promise<AwsKmsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const passed = { ...headers, 'content-length': String(Buffer.byteLength(text)) };
  delete passed.connection;
  request(url, { method: 'POST', headers: passed }, resolve).on('error', reject).end(text);
  const answer = await promise;
  const type = answer.headers['x-amzn-errortype'];
  return {
    status: answer.statusCode ?? 0,
    body: await textOf(answer),
    headers: typeof type === 'string' ? { 'x-amzn-errortype': type } : {},
  };
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function idOf(keyId: unknown): unknown {
  return typeof keyId === 'string' ? keyId.replace(/^.*:key\//, '') : keyId;
}

/** A refusal, as AWS KMS writes it. */
export function refusal(type: string, message: string, status = 400): AwsKmsAnswer {
  return { status, body: JSON.stringify({ __type: type, message }) };
}
