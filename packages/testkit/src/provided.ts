/** What the global setup tells the test files about a PostgreSQL: where it is, or why there is none. */
export type ProvidedPostgres = { readonly url: string } | { readonly reason: string };

declare module 'vitest' {
  export interface ProvidedContext {
    keywrightPostgres: ProvidedPostgres;
    keywrightPostgres15: ProvidedPostgres;
  }
}
