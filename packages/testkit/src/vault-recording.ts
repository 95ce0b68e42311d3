import { readFileSync } from 'node:fs';

/** A request to a Vault and what it answered, without secrets. */
export interface VaultExchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Name in place of the token that was sent; `null` for none. */
  readonly token: string | null;
  readonly namespace?: string;
  /** A member {@link ANY} stands for any text: what is random in a request by its nature. */
  readonly body: unknown;
  readonly status: number;
  readonly answer: unknown;
}

/** What a suite said to a real server, and what that answered. */
export interface VaultRecording {
  readonly server: {
    readonly product: string;
    readonly version: string;
    /** What it says of itself, where that is something else: a build from source. */
    readonly reports: string;
  };
  readonly exchanges: readonly VaultExchange[];
}

export const ANY = '<any>';
/** What stands for the token of the tests' administrator. */
export const ROOT_TOKEN = 'scrubbed-root-token';

export function readRecording(file: URL): VaultRecording {
  return JSON.parse(readFileSync(file, 'utf8')) as VaultRecording;
}

/** One line for each exchange, so that a new recording can be compared with the old one. */
export function writeRecording({ server, exchanges }: VaultRecording): string {
  const lines = exchanges.map((exchange) => `    ${JSON.stringify(exchange)}`);
  return `{\n  "server": ${JSON.stringify(server)},\n  "exchanges": [\n${lines.join(',\n')}\n  ]\n}\n`;
}

/** Whether a request is the one that was recorded. */
export function isSame(recorded: unknown, asked: unknown): boolean {
  if (recorded === ANY) return typeof asked === 'string' && asked !== '';
  if (typeof recorded !== 'object' || recorded === null) return recorded === asked;
  if (typeof asked !== 'object' || asked === null || Array.isArray(recorded) !== Array.isArray(asked)) return false;
  const [left, right] = [Object.keys(recorded), Object.keys(asked)];
  return (
    left.length === right.length &&
    left.every((name) => isSame((recorded as Record<string, unknown>)[name], (asked as Record<string, unknown>)[name]))
  );
}
