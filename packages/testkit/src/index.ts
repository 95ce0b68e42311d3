export type { PostgresVersion } from './binaries.ts';
export { createPostgresDatabase, createSqliteDatabase, type TestDatabase } from './databases.ts';
export { TestServerError, type TestServerErrorCode } from './errors.ts';
export { motoIsAtHand, startMoto } from './moto.ts';
export { type PgBouncerOptions, pgBouncerProgram, startPgBouncer } from './pgbouncer.ts';
export { type FragileServer, startFragilePostgres, startPostgres, type TestServer } from './postgres.ts';
export { required, requireOrSkip } from './requirement.ts';
