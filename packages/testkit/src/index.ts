export { createPostgresDatabase, createSqliteDatabase, type TestDatabase } from './databases.ts';
export { TestServerError, type TestServerErrorCode } from './errors.ts';
export { motoIsAtHand, startMoto } from './moto.ts';
export { startPostgres, type TestServer } from './postgres.ts';
export { required, requireOrSkip } from './requirement.ts';
