import { cpus } from 'node:os';

/** What the figures depend on, and nothing that names the machine. */
export function machine(): string {
  const processors = cpus();
  const model = processors[0]?.model.trim() || 'unknown CPU';
  const { node, openssl } = process.versions;
  return `${model}, ${processors.length} cores, ${process.platform} ${process.arch}, Node ${node}, OpenSSL ${openssl}`;
}
