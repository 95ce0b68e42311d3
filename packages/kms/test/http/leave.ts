// Uses a provider, closes it or not, as its argument says, and comes to its end by itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { httpProvider } from '../../src/providers/http/index.ts';

const [baseUrl = '', tokenUrl = '', way] = process.argv.slice(2);
const provider = httpProvider({ id: 'remote', baseUrl, oauth: { tokenUrl, clientId: 'c', clientSecret: 's' } });
const { ok } = await provider.health();
const key = await provider.createKey({ tenantId: 'acme', keyId: 'k1' });
await provider.sign(key, Buffer.of(1));
const unanswered = way === 'in a call' ? provider.sign(key, Buffer.of(2)) : undefined;
const code = unanswered?.catch((error: { code?: string }) => error.code);
if (unanswered !== undefined) await sleep(100);
if (way !== 'without close') await provider.close();
process.stdout.write(`${ok} ${await code}`);
