import { envSource } from '@keywright/envelope/sources';
import { keySourceConformance } from '../../src/conformance/key-source.ts';

const local = 'reads variables of this process';

keySourceConformance('env', {
  impossible: { 'not-found': local, denied: local, unreachable: local, silent: local, oversized: local },
  async prepare(condition, { text, keys, activeKid }) {
    const single = { KEYWRIGHT_KEY: text };
    const map = text.slice(text.indexOf('"keys":') + '"keys":'.length, -1);
    const rotation = {
      KEYWRIGHT_KEYS: condition === 'duplicate-kid' ? map : JSON.stringify(keys),
      KEYWRIGHT_ACTIVE_KID: activeKid,
    };
    return {
      source: envSource({ env: condition === 'rotation' || condition === 'duplicate-kid' ? rotation : single }),
    };
  },
});
