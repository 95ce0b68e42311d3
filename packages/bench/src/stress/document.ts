import type { Measured } from '../report/document.ts';

/** A run's part of the document. */
export interface RunSection {
  readonly name: string;
  /** Markdown, heading included. */
  readonly section: string;
}

const PREAMBLE = `# Stress

Written by \`npm run stress\`, which exits with 1 if something is lost, wrong or too slow. The code is in
\`packages/bench/src/stress\`; \`npm test\` runs it in a smaller size.`;

/**
 * `docs/stress.md` with the sections of these runs written anew. Those of runs that did not take place this time are
 * taken from `previous`; those of runs that are no longer listed in `order` go.
 */
export function documentOf(
  sections: readonly RunSection[],
  { date, machine }: Measured,
  previous: string,
  order: readonly string[],
): string {
  const parts = order.flatMap((name) => {
    const found = sections.find((section) => section.name === name);
    if (found === undefined) return sectionIn(previous, name) ?? [];
    return [opening(name), found.section, `Measured ${date}. ${machine}.`, closing(name)].join('\n\n');
  });
  return `${[PREAMBLE, ...parts].join('\n\n')}\n`;
}

function sectionIn(document: string, name: string): string | undefined {
  const start = document.indexOf(opening(name));
  const end = document.indexOf(closing(name), start);
  return start < 0 || end < 0 ? undefined : document.slice(start, end + closing(name).length);
}

function opening(name: string): string {
  return `<!-- run ${name} -->`;
}

function closing(name: string): string {
  return `<!-- end of run ${name} -->`;
}
