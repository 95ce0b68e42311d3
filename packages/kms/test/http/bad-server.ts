import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * Serves bytes as they are: `serve` gets each connection once its first request is there, and the request's text.
 * @param atEnd of the test, where several run at once
 */
export async function startBadServer(
  serve: (socket: Socket, request: string) => void,
  atEnd: (work: () => void) => void = onTestFinished,
): Promise<{ readonly url: string; readonly requests: readonly string[]; readonly sockets: ReadonlySet<Socket> }> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {}); // a client that leaves is no error here
    socket.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      if (!/^[A-Z]+ \//.test(text)) return;
      requests.push(text);
      serve(socket, text);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, sockets };
}

/** An answer as text. */
export function answer(body: string, headers: Readonly<Record<string, string>> = {}, status = '200 OK'): string {
  const all = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${body}`;
}
