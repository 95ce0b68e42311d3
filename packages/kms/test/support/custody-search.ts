import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PrivateJwk } from '@keywright/kms';
import { privateForms } from '../../src/conformance/search.ts';
import type { CustodyTask } from './custody-worker.ts';

const WORKER = fileURLToPath(new URL('custody-worker.ts', import.meta.url));
const run = promisify(execFile);

/** What a private key looks like that is not known: text that is one, whoever made it. */
const MARKERS: readonly RegExp[] = [
  /PRIVATE KEY-----(?:\s|\\n|\\r)*[A-Za-z0-9+/]{40}/,
  /"(?:d|dp|dq|qi)\\?"\s*:\s*\\?"[\w-]{40,}/,
  // PKCS #8 of P-256, P-384, P-521, Ed25519 and RSA as base64, and as hexadecimal digits.
  /MIGHAgEAMBMGByqGSM49AgEG[A-Za-z0-9+/]{40}/,
  /MIG2AgEAMBAGByqGSM49AgEG[A-Za-z0-9+/]{40}/,
  /MIHuAgEAMBAGByqGSM49AgEG[A-Za-z0-9+/]{40}/,
  /MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{40}/,
  /MII[A-Za-z0-9+/]{3}AgEAMA0GCSqGSIb3DQEBAQ[A-Za-z0-9+/]{40}/,
  /302e020100300506032b657004220420[0-9a-f]{64}/i,
  /3081[0-9a-f]{2}0201003013?06072a8648ce3d0201[0-9a-f]{64}/i,
];

/** A process that made and used keys, and what there is of it. */
export interface CustodySubject {
  /** Where a private key was found; empty if nowhere. */
  find(known: readonly PrivateJwk[]): readonly string[];
  /** How much was searched, so that an empty heap does not pass for a clean one. */
  readonly strings: number;
}

/** A folder for a process, and the database in it. */
export interface CustodyPlace {
  readonly database: string;
  start(
    task: Omit<CustodyTask, 'database' | 'snapshot' | 'output' | 'holds'>,
    holds?: readonly Holding[],
  ): Promise<CustodySubject>;
  remove(): void;
}

export interface Holding {
  readonly jwk: PrivateJwk;
  readonly as: 'jwk' | 'text' | 'member';
}

export function custodyPlace(): CustodyPlace {
  const folder = mkdtempSync(join(tmpdir(), 'keywright-custody-'));
  const database = join(folder, 'keys.sqlite');
  return {
    database,
    remove: () => rmSync(folder, { recursive: true, force: true }),
    async start(given, holds = []) {
      const [snapshot, output] = [join(folder, 'heap'), join(folder, 'output')];
      const held = holds.map(({ jwk, as }) => {
        const file = join(folder, `private-${as}`);
        writeFileSync(file, JSON.stringify(jwk));
        return { file, as };
      });
      const task: CustodyTask = { ...given, database, snapshot, output, holds: held };
      // Texts of any length, not only their first 1024 characters.
      const args = ['--heap-snapshot-string-limit=10000000', WORKER, JSON.stringify(task)];
      await run(process.execPath, args, { timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
      const heap = JSON.parse(readFileSync(snapshot, 'utf8')) as HeapSnapshot;
      const stored = readdirSync(folder).filter((name) => name.startsWith('keys.sqlite'));
      const rows = stored.map((name) => readFileSync(join(folder, name)).toString('latin1'));
      const searched = Object.entries({
        'the database': rows.join('\0'),
        'logs, errors and stubs': readFileSync(output, 'utf8'),
        'strings of the heap': heap.strings.join('\0'),
      });
      const unknown = [...searched.flatMap(([where, text]) => marked(where, text)), ...privateObjects(heap)];
      return {
        strings: heap.strings.length,
        find: (known) => [...searched.flatMap(([where, text]) => recognized(where, text, known)), ...unknown],
      };
    },
  };
}

function marked(where: string, text: string): readonly string[] {
  return MARKERS.filter((marker) => marker.test(text)).map((marker) => `${where}: ${marker.source.slice(0, 24)}`);
}

function recognized(where: string, text: string, known: readonly PrivateJwk[]): readonly string[] {
  // Members that are not private alone, and forms too short to mean anything, would be found anywhere.
  const forms = known.flatMap(privateForms).filter((form) => form.length >= 32);
  return forms.some((form) => text.includes(form)) ? [`${where}: a known key`] : [];
}

interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: {
      readonly node_fields: readonly string[];
      readonly node_types: readonly [readonly string[]];
      readonly edge_fields: readonly string[];
      readonly edge_types: readonly [readonly string[]];
    };
  };
  readonly nodes: readonly number[];
  readonly edges: readonly number[];
  readonly strings: readonly string[];
}

/** Private keys as objects: of node:crypto, and with a member `d` that could be one. */
function privateObjects({ snapshot: { meta }, nodes, edges, strings }: HeapSnapshot): readonly string[] {
  const hits: string[] = [];
  const nodeSize = meta.node_fields.length;
  const [type, name] = [meta.node_fields.indexOf('type'), meta.node_fields.indexOf('name')];
  const object = meta.node_types[0].indexOf('object');
  for (let at = 0; at < nodes.length; at += nodeSize) {
    if (nodes[at + type] === object && strings[nodes[at + name] as number] === 'PrivateKeyObject') {
      hits.push('the heap: a private key of node:crypto');
    }
  }
  const edgeSize = meta.edge_fields.length;
  const edge = { type: meta.edge_fields.indexOf('type'), name: meta.edge_fields.indexOf('name_or_index') };
  const to = meta.edge_fields.indexOf('to_node');
  const property = meta.edge_types[0].indexOf('property');
  for (let at = 0; at < edges.length; at += edgeSize) {
    if (edges[at + edge.type] !== property || strings[edges[at + edge.name] as number] !== 'd') continue;
    const value = strings[nodes[(edges[at + to] as number) + name] as number] ?? '';
    if (/^[\w-]{40,}$/.test(value)) hits.push('the heap: an object with a member d');
  }
  return [...new Set(hits)];
}
