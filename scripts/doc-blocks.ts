import type { Problem } from './workspace.ts';

/** A code block of the documentation. */
export interface DocBlock {
  readonly file: string;
  /** Line of its first line of code, from 1. */
  readonly line: number;
  readonly code: string;
}

export interface DocBlocks {
  readonly blocks: readonly DocBlock[];
  readonly problems: readonly Problem[];
}

interface Fence {
  readonly marker: string;
  readonly language: string;
  /** Line after the opening one, from 1. */
  readonly line: number;
  readonly lines: string[];
}

const MARKDOWN_PREFIX = /^(?:\s*>)*\s*/;
const JSDOC_PREFIX = /^\s*(?:\/\*)?\*\s*/;
const OPENING = /^(`{3,}|~{3,})\s*([^`\s]*)\s*([^`]*)$/;
// Other names under which code would escape the check.
const UNCHECKED = new Set(['typescript', 'tsx', 'mts', 'cts', 'js', 'javascript', 'jsx', 'mjs', 'cjs']);

/** The `ts` blocks of a Markdown file, in lists and quotes too. */
export function markdownBlocks(file: string, text: string): DocBlocks {
  return blocksOf(file, text.split(/\r?\n/), MARKDOWN_PREFIX);
}

/** The `ts` blocks of the doc comments in a source file. */
export function jsdocBlocks(file: string, text: string): DocBlocks {
  // Whatever isn't a line of a comment becomes one that opens and closes nothing.
  const lines = text.split(/\r?\n/).map((line) => (JSDOC_PREFIX.test(line) ? line : ''));
  return blocksOf(file, lines, JSDOC_PREFIX);
}

function blocksOf(file: string, lines: readonly string[], prefix: RegExp): DocBlocks {
  const blocks: DocBlock[] = [];
  const problems: Problem[] = [];
  let fence: Fence | undefined;
  for (const [index, line] of lines.entries()) {
    const content = line.replace(prefix, '');
    if (fence === undefined) {
      const [, marker, language, info] = OPENING.exec(content) ?? [];
      if (marker === undefined || language === undefined) continue;
      const message = refusal(language, info ?? '');
      if (message) problems.push({ file, line: index + 1, message });
      fence = { marker, language, line: index + 2, lines: [] };
    } else if (closes(content, fence.marker)) {
      if (fence.language === 'ts') blocks.push({ file, line: fence.line, code: dedent(fence.lines, prefix) });
      fence = undefined;
    } else {
      fence.lines.push(line);
    }
  }
  if (fence) problems.push({ file, line: fence.line - 1, message: 'the code block is never closed' });
  return { blocks, problems };
}

function closes(content: string, marker: string): boolean {
  const end = content.trimEnd();
  return end.length >= marker.length && end === marker.charAt(0).repeat(end.length);
}

function refusal(language: string, info: string): string | undefined {
  if (UNCHECKED.has(language)) return `write \`\`\`ts instead of \`\`\`${language}, so that the block is checked`;
  // `ts{1,3}` and `ts:file` are how some renderers spell an option.
  if (/^ts\W/.test(language) || (language === 'ts' && info !== '')) {
    return `every ts block is checked; remove "${`${language} ${info}`.slice(2).trim()}", or write \`\`\`text if this isn't code`;
  }
  return undefined;
}

/** Line breaks stay where they are, so that an error's line is the block's line plus an offset. */
function dedent(lines: readonly string[], prefix: RegExp): string {
  const filled = lines.filter((line) => line.replace(prefix, '') !== '');
  const common = Math.min(...filled.map((line) => prefix.exec(line)?.[0].length ?? 0));
  return filled.length === 0 ? '' : lines.map((line) => line.slice(common)).join('\n');
}
