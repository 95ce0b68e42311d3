import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { KMS_SCHEMA, kmsSchemaText } from '../kms-schema.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('kms.schema.json is what the provider types say; otherwise run `node scripts/write-kms-schema.ts`', () => {
  expect(readFileSync(join(root, KMS_SCHEMA), 'utf8')).toBe(kmsSchemaText());
});
