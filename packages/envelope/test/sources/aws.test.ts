import type { IncomingMessage, ServerResponse } from 'node:http';
import { SecretsManager } from '@aws-sdk/client-secrets-manager';
import { SSM } from '@aws-sdk/client-ssm';
import { generateKeyBase64 } from '@keywright/envelope';
import {
  type AwsOptions,
  awsSecretsManagerSource,
  awsSsmSource,
  type KeySource,
  keySourceFromEnv,
} from '@keywright/envelope/sources';
import { describeOnMoto } from '@keywright/testkit/aws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type KeySourceHarness,
  keySourceConformance,
  type PreparedKeySource,
} from '../../src/conformance/key-source.ts';
import { closedPort, flood, rejection, sendJson, serve, shown, type TestServer, withEnv } from './support.ts';

const CREDENTIALS = { accessKeyId: 'AKIAKEYWRIGHT', secretAccessKey: 'canary-secret-access-key' };
const REGION = 'us-east-1';

interface Service {
  readonly source: (name: string, options: AwsOptions) => KeySource;
  readonly put: (endpoint: string, name: string, text: string) => Promise<unknown>;
  /** An answer of the service, as the API reference shows it. */
  readonly answer: (text: string) => unknown;
}

const SERVICES: Readonly<Record<string, Service>> = {
  'aws-secrets-manager': {
    source: awsSecretsManagerSource,
    put: (endpoint, name, text) =>
      new SecretsManager({ region: REGION, endpoint, credentials: CREDENTIALS }).createSecret({
        Name: name,
        SecretString: text,
      }),
    // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
    answer: (text) => ({ Name: 'key', SecretString: text, VersionStages: ['AWSCURRENT'] }),
  },
  'aws-ssm': {
    source: awsSsmSource,
    put: (endpoint, name, text) =>
      new SSM({ region: REGION, endpoint, credentials: CREDENTIALS }).putParameter({
        Name: name,
        Value: text,
        Type: 'SecureString',
      }),
    // https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
    answer: (text) => ({ Parameter: { Name: 'key', Type: 'SecureString', Value: text } }),
  },
};

let count = 0;
const freshName = (): string => `keywright-${process.pid}-${count++}`;

describeOnMoto('AWS', (url) => {
  for (const [name, service] of Object.entries(SERVICES)) {
    const harness: KeySourceHarness = {
      impossible: {},
      async prepare(condition, { text }, timeoutMs): Promise<PreparedKeySource> {
        const secret = freshName();
        const secrets = [CREDENTIALS.secretAccessKey];
        const at = (endpoint: string, credentials: object = CREDENTIALS): KeySource =>
          service.source(secret, { region: REGION, timeoutMs, clientOptions: { endpoint, credentials } });
        switch (condition) {
          case 'not-found':
            return { source: at(url()), secrets };
          case 'unreachable':
            return { source: at(`http://127.0.0.1:${await closedPort()}`), secrets };
          case 'silent':
          case 'oversized': {
            const server = await serve((_request, response) => {
              if (condition === 'oversized') flood(response, undefined, 'application/x-amz-json-1.1');
            });
            return { source: at(server.url), secrets, dispose: server.close };
          }
          case 'denied': {
            await service.put(url(), secret, text);
            const credentials = await userWithoutRights(url());
            await checkRights(url(), '0');
            const dispose = (): Promise<void> => checkRights(url(), 'inf');
            return { source: at(url(), credentials), secrets: [credentials.secretAccessKey], dispose };
          }
          default:
            await service.put(url(), secret, text);
            return { source: at(url()), secrets };
        }
      },
    };
    keySourceConformance(name, harness);
  }

  it('gives the key of a secret binary, and refuses another length', async () => {
    const client = new SecretsManager({ region: REGION, endpoint: url(), credentials: CREDENTIALS });
    const [key, short] = [Buffer.alloc(32, 7), Buffer.alloc(31, 7)];
    const names = [freshName(), freshName()] as const;
    await client.createSecret({ Name: names[0], SecretBinary: key });
    await client.createSecret({ Name: names[1], SecretBinary: short });
    expect(Buffer.from((await awsSecretsManagerSource(names[0], { client }).load()).keys.v1 as Uint8Array)).toEqual(
      key,
    );
    const error = await rejection(awsSecretsManagerSource(names[1], { client }).load());
    expect(error).toMatchObject({ code: 'ERR_KEY_SOURCE_CONTENT_INVALID', context: { received: '31 bytes' } });
    expect(await client.listSecrets({})).toBeDefined(); // a client that was handed in stays open
    client.destroy();
  });

  it('reads the version that is asked for', async () => {
    const client = new SecretsManager({ region: REGION, endpoint: url(), credentials: CREDENTIALS });
    const [name, first, second] = [freshName(), generateKeyBase64(), generateKeyBase64()];
    await client.createSecret({ Name: name, SecretString: first });
    await client.putSecretValue({ SecretId: name, SecretString: second });
    const key = async (versionStage?: string): Promise<string> => {
      const { keys } = await awsSecretsManagerSource(name, { client, versionStage }).load();
      return Buffer.from(keys.v1 as Uint8Array).toString('base64');
    };
    expect(await key()).toBe(second);
    expect(await key('AWSPREVIOUS')).toBe(first);
    client.destroy();
  });

  it('takes a secret that is scheduled for deletion for one that is not there', async () => {
    const client = new SecretsManager({ region: REGION, endpoint: url(), credentials: CREDENTIALS });
    const name = freshName();
    await client.createSecret({ Name: name, SecretString: generateKeyBase64() });
    await client.deleteSecret({ SecretId: name });
    const error = await rejection(awsSecretsManagerSource(name, { client }).load());
    expect(error.code).toBe('ERR_KEY_SOURCE_NOT_FOUND');
    client.destroy();
  });

  it('shows nothing of a type that is none', async () => {
    const client = { getParameter: async () => ({ Parameter: { Type: 'canary', Value: generateKeyBase64() } }) };
    const error = await rejection(awsSsmSource('key', { client }).load());
    expect(error.code).toBe('ERR_KEY_SOURCE_CONTENT_INVALID');
    expect(shown(error)).not.toContain('canary');
  });

  it('refuses a parameter that is no SecureString', async () => {
    const client = new SSM({ region: REGION, endpoint: url(), credentials: CREDENTIALS });
    const name = freshName();
    await client.putParameter({ Name: name, Value: generateKeyBase64(), Type: 'String' });
    const error = await rejection(awsSsmSource(name, { client }).load());
    expect(error).toMatchObject({
      code: 'ERR_KEY_SOURCE_CONTENT_INVALID',
      context: { driver: 'aws-ssm', expected: 'SecureString', received: 'String' },
    });
    client.destroy();
  });

  it.each([
    ['aws', 'AWS_ENCRYPTION_SECRET_NAME', 'aws-secrets-manager'],
    ['aws-ssm', 'AWS_ENCRYPTION_PARAMETER_NAME', 'aws-ssm'],
  ])('is understood from the environment: ENCRYPTION_KEY_SOURCE=%s', async (source, variable, name) => {
    const secret = freshName();
    await (SERVICES[name] as Service).put(url(), secret, generateKeyBase64());
    const env = { ENCRYPTION_KEY_SOURCE: source, AWS_REGION: REGION, [variable]: secret };
    const sdk = {
      AWS_ENDPOINT_URL: url(),
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    };
    const material = await withEnv(sdk, () => keySourceFromEnv({ env }).load());
    expect(material.activeKid).toBe('v1');
  });
});

describe.each(Object.entries(SERVICES))('%s in the documented wire format', (_name, service) => {
  const requests: IncomingMessage[] = [];
  let respond: (response: ServerResponse, request: IncomingMessage) => void;
  let server: TestServer;
  const source = (options: AwsOptions = {}): KeySource =>
    service.source('key', {
      region: REGION,
      ...options,
      clientOptions: { endpoint: server.url, credentials: CREDENTIALS, ...options.clientOptions },
    });

  beforeAll(async () => {
    server = await serve((request, response) => {
      requests.push(request);
      respond(response, request);
    });
  });
  afterAll(() => server.close());

  // https://docs.aws.amazon.com/awsservices/latest/APIReference/CommonErrors.html, and the errors of each action
  it.each([
    ['AccessDeniedException', 400, 'ERR_KEY_SOURCE_DENIED'],
    ['UnrecognizedClientException', 400, 'ERR_KEY_SOURCE_DENIED'],
    ['ExpiredTokenException', 400, 'ERR_KEY_SOURCE_DENIED'],
    ['DecryptionFailure', 400, 'ERR_KEY_SOURCE_DENIED'],
    ['ResourceNotFoundException', 400, 'ERR_KEY_SOURCE_NOT_FOUND'],
    ['ParameterNotFound', 400, 'ERR_KEY_SOURCE_NOT_FOUND'],
    ['ValidationException', 400, 'ERR_KEY_SOURCE_CONFIG'],
    ['ThrottlingException', 400, 'ERR_KEY_SOURCE_UNREACHABLE'],
    ['InternalServiceError', 500, 'ERR_KEY_SOURCE_UNREACHABLE'],
  ])('an error %s of status %i is %s', async (type, status, code) => {
    respond = (response) => sendJson(response, status, { __type: type, Message: 'canary-in-message' });
    const error = await rejection(source().load());
    expect(error.code).toBe(code);
    expect(shown(error)).not.toContain('canary');
  });

  it('asks no more than twice', async () => {
    requests.length = 0;
    respond = (response) => sendJson(response, 500, { __type: 'InternalServiceError' });
    await rejection(source().load());
    expect(requests).toHaveLength(2);
  });

  it('an answer that is no JSON is refused', async () => {
    respond = (response) => response.writeHead(200).end('<html>a proxy</html>');
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_INVALID_RESPONSE');
  });

  it('an answer is read no further than the limit', async () => {
    let written = 0;
    respond = (response) => flood(response, (bytes) => (written = bytes));
    expect((await rejection(source().load())).code).toBe('ERR_KEY_SOURCE_TOO_LARGE');
    expect(written).toBeLessThan(16 * 2 ** 20); // what the sockets hold
  });

  it('credentials come from the default chain: the endpoint of a container', async () => {
    const key = generateKeyBase64();
    const token = 'canary-container-token';
    // https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
    const container = await serve((request, response) => {
      const known = request.headers.authorization === token;
      const Expiration = new Date(Date.now() + 3_600_000).toISOString();
      const found = { AccessKeyId: 'AKIACHAIN', SecretAccessKey: 'canary', Token: 'session-token', Expiration };
      sendJson(response, known ? 200 : 401, known ? found : {});
    });
    requests.length = 0;
    respond = (response) => sendJson(response, 200, service.answer(key));
    const chain = {
      ...NO_CREDENTIALS,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${container.url}/creds`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: token,
    };
    const { keys } = await withEnv(chain, () => source({ clientOptions: { credentials: undefined } }).load());
    await container.close();
    expect(Buffer.from(keys.v1 as Uint8Array).toString('base64')).toBe(key);
    expect(requests[0]?.headers.authorization).toContain('Credential=AKIACHAIN/');
    expect(requests[0]?.headers['x-amz-security-token']).toBe('session-token');
  });

  it('no credentials anywhere is an error of its own', async () => {
    const load = (): Promise<unknown> => source({ clientOptions: { credentials: undefined } }).load();
    const error = await rejection(withEnv(NO_CREDENTIALS, load));
    expect(error.code).toBe('ERR_KEY_SOURCE_NO_CREDENTIALS');
  });

  it('no region anywhere is an error of the configuration', async () => {
    const load = (): Promise<unknown> => service.source('key', { clientOptions: { credentials: CREDENTIALS } }).load();
    const error = await rejection(withEnv({ ...NO_CREDENTIALS, AWS_REGION: undefined, AWS_PROFILE: undefined }, load));
    expect(error.code).toBe('ERR_KEY_SOURCE_CONFIG');
  });
});

const NO_CREDENTIALS = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_PROFILE: undefined,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  AWS_CONFIG_FILE: '/nonexistent',
};

/** Credentials of a new user of moto's IAM, to whom nothing is allowed. */
async function userWithoutRights(url: string): Promise<typeof CREDENTIALS> {
  const authorization = `AWS4-HMAC-SHA256 Credential=root/20260101/${REGION}/iam/aws4_request, SignedHeaders=host, Signature=0`;
  const call = async (action: string): Promise<string> => {
    const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(url, { method: 'POST', headers, body: `${action}&Version=2010-05-08` });
    expect(response.status).toBe(200);
    return response.text();
  };
  const user = freshName();
  await call(`Action=CreateUser&UserName=${user}`);
  const answer = await call(`Action=CreateAccessKey&UserName=${user}`);
  const field = (name: string): string => answer.split(`<${name}>`)[1]?.split('<')[0] ?? '';
  return { accessKeyId: field('AccessKeyId'), secretAccessKey: field('SecretAccessKey') };
}

/** After how many more requests moto looks at who asks. */
async function checkRights(url: string, after: '0' | 'inf'): Promise<void> {
  const { status } = await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', body: after });
  expect(status).toBe(200);
}
