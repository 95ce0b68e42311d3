// Writes packages/kms/kms.schema.json, the schema of kms.json for editors, from the built packages.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KMS_SCHEMA, kmsSchemaText } from './kms-schema.ts';

writeFileSync(join(process.cwd(), KMS_SCHEMA), kmsSchemaText());
