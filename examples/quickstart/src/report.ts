import { styleText } from 'node:util';

/** A step whose claim turned out false. */
export class FalseClaim extends Error {
  override name = 'FalseClaim';
}

/** Prints a title and one line a step; colours only where the terminal shows them. */
export class Report {
  readonly #write: (line: string) => void;
  readonly #colour: boolean;
  #step = 0;

  constructor(write: (line: string) => void, colour: boolean) {
    this.#write = write;
    this.#colour = colour;
  }

  title(text: string, detail: string): void {
    this.#write(`\n${this.#style('bold', text)}  ${this.#style('dim', detail)}\n`);
  }

  /** States a claim that was just checked. @throws FalseClaim if it does not hold */
  step(claim: string, holds: boolean, detail = ''): void {
    this.#step++;
    const mark = holds ? this.#style('green', '✓') : this.#style('red', '✗');
    this.#write(`${mark} ${String(this.#step).padStart(2)}  ${claim}${detail && `  ${this.#style('dim', detail)}`}`);
    if (!holds) throw new FalseClaim(`Step ${this.#step} does not hold: ${claim}`);
  }

  /** A line of what a step is about. */
  show(text: string): void {
    this.#write(`      ${this.#style('cyan', text)}`);
  }

  end(text: string): void {
    this.#write(`\n${this.#style('bold', text)}\n`);
  }

  #style(format: 'bold' | 'dim' | 'green' | 'red' | 'cyan', text: string): string {
    return this.#colour ? styleText(format, text, { validateStream: false }) : text;
  }
}
