import { Writable } from 'node:stream';
import { createJsonLinesSink } from '@keywright/secrets/audit';
import { auditSinkConformance } from '@keywright/secrets/conformance';

auditSinkConformance('JSON lines', async () => {
  let text = '';
  let failing = false;
  const open = (): Writable =>
    new Writable({
      write: (chunk, _encoding, callback) => {
        const error = failing ? new Error('no space left') : null;
        failing = false;
        if (error === null) text += String(chunk);
        setImmediate(() => callback(error));
      },
    });

  return {
    sink: createJsonLinesSink(open),
    failNext: async () => {
      failing = true;
    },
    taken: async () =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { leafIndex: number }).leafIndex),
  };
});
