import type { RunOptions } from './run.ts';

/** A line per case; on a terminal, the rounds are counted on that line as well. */
export function progressOn(stream: NodeJS.WriteStream): Pick<Required<RunOptions>, 'onCase' | 'onRound'> {
  let label = '';
  return {
    onCase(suite, item) {
      label = `${suite.name}  ${item.name}`;
      stream.write(stream.isTTY ? label : `${label}\n`);
    },
    onRound(round, rounds) {
      if (!stream.isTTY) return;
      stream.write(`\r${label}  ${round}/${rounds}${round === rounds ? '\n' : ''}`);
    },
  };
}
