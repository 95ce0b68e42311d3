/** Whether SQL text has a name as a word of its own, quoted or not, in any case. */
export function mentions(text: string, name: string): boolean {
  return wordOf(name, '').test(text);
}

/** Whether SQL text has the name of a table other than before a column of it. */
export function mentionsRow(text: string, name: string): boolean {
  return wordOf(name, '["`\\]]?\\s*\\.').test(text);
}

function wordOf(name: string, before: string): RegExp {
  const literal = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const not = before === '' ? '' : `(?!${before})`;
  return new RegExp(`(?<![A-Za-z0-9_])${literal}(?![A-Za-z0-9_])${not}`, 'i');
}
