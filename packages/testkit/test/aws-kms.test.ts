import { expect, it } from 'vitest';
import { type AwsKmsServer, describeOnAwsKms, refusal } from '../src/aws.ts';

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

async function ask(server: AwsKmsServer, operation: string, input: object): Promise<Answer> {
  const response = await fetch(server.url, {
    method: 'POST',
    body: JSON.stringify(input),
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `TrentService.${operation}`,
      authorization:
        'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0',
    },
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

describeOnAwsKms('an AWS KMS', (server) => {
  const make = async (input: object): Promise<string> => {
    const { json } = await ask(server(), 'CreateKey', input);
    return (json as { KeyMetadata: { KeyId: string } }).KeyMetadata.KeyId;
  };
  const SIGNING = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' };
  const ENCRYPTING = { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' };
  const Message = Buffer.alloc(32, 1).toString('base64');
  const SIGN = { Message, MessageType: 'DIGEST', SigningAlgorithm: 'ECDSA_SHA_256' };

  it('pages its keys, each once', async () => {
    const made = [await make(SIGNING), await make(SIGNING), await make(SIGNING)];
    const listed: unknown[] = [];
    let Marker: unknown;
    do {
      const { json } = await ask(server(), 'ListKeys', { Limit: 2, ...(Marker === undefined ? {} : { Marker }) });
      const { Keys, NextMarker, Truncated } = json as {
        Keys: { KeyId: string }[];
        NextMarker?: string;
        Truncated: boolean;
      };
      expect(Keys.length).toBeLessThanOrEqual(2);
      expect(Truncated).toBe(NextMarker !== undefined);
      listed.push(...Keys.map(({ KeyId }) => KeyId));
      Marker = NextMarker;
    } while (Marker !== undefined);
    for (const id of made) expect(listed.filter((one) => one === id)).toEqual([id]);
  });

  it('uses no key that is pending deletion, signing or encrypting, and schedules that once', async () => {
    for (const [spec, operation, input] of [
      [SIGNING, 'Sign', SIGN],
      [ENCRYPTING, 'Encrypt', { Plaintext: Message }],
    ] as const) {
      const KeyId = await make(spec);
      expect(await ask(server(), operation, { KeyId, ...input })).toMatchObject({ status: 200 });
      await ask(server(), 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
      for (const refused of [operation, 'ScheduleKeyDeletion']) {
        expect(await ask(server(), refused, { KeyId, ...input, PendingWindowInDays: 7 })).toMatchObject({
          status: 400,
          json: { __type: 'KMSInvalidStateException' },
        });
      }
    }
  });

  it('decrypts with the key that encrypted only, unchanged', async () => {
    const [KeyId, other] = [await make(ENCRYPTING), await make(ENCRYPTING)];
    const { json } = await ask(server(), 'Encrypt', { KeyId, Plaintext: Message });
    const { CiphertextBlob } = json as { CiphertextBlob: string };
    expect((await ask(server(), 'Decrypt', { KeyId, CiphertextBlob })).json).toMatchObject({ Plaintext: Message });
    expect((await ask(server(), 'Decrypt', { KeyId: other, CiphertextBlob })).json).toMatchObject({
      __type: 'IncorrectKeyException',
    });
    const changed = Buffer.from(CiphertextBlob, 'base64');
    changed[changed.length - 1] = (changed.at(-1) as number) ^ 1;
    const answer = await ask(server(), 'Decrypt', { KeyId, CiphertextBlob: changed.toString('base64') });
    expect(JSON.stringify(answer.json)).toContain('InvalidCiphertextException');
  });

  it('counts requests, and answers as a test says', async () => {
    const before = server().requests.length;
    server().intercept(({ operation }) =>
      operation === 'ListKeys' ? refusal('ThrottlingException', 'Rate') : undefined,
    );
    expect(await ask(server(), 'ListKeys', {})).toMatchObject({ status: 400, json: { __type: 'ThrottlingException' } });
    server().intercept(undefined);
    expect(await ask(server(), 'ListKeys', {})).toMatchObject({ status: 200 });
    expect(
      server()
        .requests.slice(before)
        .map(({ operation }) => operation),
    ).toEqual(['ListKeys', 'ListKeys']);
  });
});
