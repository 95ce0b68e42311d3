/** Whether a missing server is an error: `KEYWRIGHT_REQUIRE` is `all` or a comma-separated list that names it. */
export function required(server: string): boolean {
  const names = (process.env.KEYWRIGHT_REQUIRE ?? '').split(',').map((name) => name.trim());
  return names.some((name) => name === 'all' || name === server);
}
