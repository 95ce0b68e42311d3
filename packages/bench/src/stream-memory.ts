// What a gigabyte through a stream takes of memory: `node packages/bench/src/stream-memory.ts`. Each figure is of a
// process of its own, and the growth of its resident set from the first megabytes to the highest point. Exits with 1
// where one is over budget.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createKeyring } from '@keywright/envelope';
import * as node from '@keywright/envelope/node-stream';
import * as web from '@keywright/envelope/stream';
import { bytesThroughNode, bytesThroughWeb } from './pipes.ts';

const MIB = 1024 * 1024;
const BUDGET_MIB = 64;
const BYTES = 1024 * MIB;
const WARM_UP_BYTES = 16 * MIB;
const PIECE = createHash('shake256', { outputLength: 64 * 1024 })
  .update('stream-memory')
  .digest();
const EVERY = 16;

const keyring = createKeyring({ keys: { v1: Buffer.alloc(32, 1) }, activeKid: 'v1' });
const options = { context: { tenant: 'acme', table: 'files', id: '42' } };

let peak = 0;
let pieces = 0;

/** Asked seldom: the question takes as long as a piece. */
function look(): void {
  if (pieces++ % EVERY === 0) peak = Math.max(peak, process.memoryUsage.rss());
}

/** The same piece again and again, so that the source takes nothing. */
function* plaintext(bytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += PIECE.length) yield PIECE;
}

const runs: Readonly<Record<string, (bytes: number) => Promise<number>>> = {
  'node stream, encrypt': (bytes) => bytesThroughNode(plaintext(bytes), node.encryptStream(keyring, options), look),
  'web stream, encrypt': (bytes) => bytesThroughWeb(plaintext(bytes), web.encryptStream(keyring, options), look),
  'node stream, there and back': (bytes) =>
    bytesThroughNode(
      plaintext(bytes),
      node.encryptStream(keyring, options).compose(node.decryptStream(keyring, options)),
      look,
    ),
  'web stream, there and back': (bytes) => {
    const { readable, writable } = web.encryptStream(keyring, options);
    const decrypted = readable.pipeThrough(web.decryptStream(keyring, options));
    return bytesThroughWeb(plaintext(bytes), { readable: decrypted, writable }, look);
  },
};

async function measure(name: string): Promise<void> {
  const run = runs[name];
  if (run === undefined) throw new RangeError(`No run "${name}". Runs: ${Object.keys(runs).join('; ')}.`);
  await run(WARM_UP_BYTES);
  const before = process.memoryUsage.rss();
  peak = before;
  if ((await run(BYTES)) < BYTES) throw new Error(`${name}: bytes are missing.`);
  console.log(((peak - before) / MIB).toFixed(1));
}

function report(): void {
  for (const name of Object.keys(runs)) {
    const mib = Number(execFileSync(process.execPath, [import.meta.filename, name], { encoding: 'utf8' }));
    console.log(`${name.padEnd(28)} ${mib.toFixed(1).padStart(6)} MiB for 1 GiB, budget ${BUDGET_MIB} MiB`);
    if (mib >= BUDGET_MIB) process.exitCode = 1;
  }
}

const [name] = process.argv.slice(2);
if (name === undefined) report();
else await measure(name);
