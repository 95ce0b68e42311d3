import * as drizzle from '@keywright/envelope/codecs/drizzle';
import * as knex from '@keywright/envelope/codecs/knex';
import * as kysely from '@keywright/envelope/codecs/kysely';
import * as mongoose from '@keywright/envelope/codecs/mongoose';
import * as objection from '@keywright/envelope/codecs/objection';
import * as prisma from '@keywright/envelope/codecs/prisma';
import * as typeorm from '@keywright/envelope/codecs/typeorm';
import * as columns from '@keywright/envelope/columns';
import { expect, it } from 'vitest';

it('exports these names and no others', () => {
  expect(Object.keys(columns).sort()).toEqual(['ColumnError', 'columnCodec', 'tenantFromContext', 'withContext']);
  const adapters = { drizzle, knex, kysely, mongoose, objection, prisma, typeorm };
  expect(Object.values(adapters).map((adapter) => Object.keys(adapter))).toEqual([
    ['drizzleType'],
    ['knexTable'],
    ['kyselyEncryption'],
    ['mongooseEncryption'],
    ['encryptedModel'],
    ['prismaEncryption'],
    ['typeormTransformer'],
  ]);
});
