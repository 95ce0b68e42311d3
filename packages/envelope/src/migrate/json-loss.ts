const NUMBERS = /-?\d[\d.eE+-]*/g;

/**
 * Whether a JSON text was parsed without loss. `compact` is the JSON of what it was parsed into. It does not where a name stands
 * twice, of which `JSON.parse` keeps one, or where a number has more digits than a double.
 */
export function keepsAll(text: string, compact: string): boolean {
  if (text === compact) return true;
  // What is left without the strings: numbers, literals, and a colon for each member.
  const skeleton = withoutStrings(text);
  return count(skeleton) === count(withoutStrings(compact)) && (skeleton.match(NUMBERS) ?? []).every(isExact);
}

// By hand: over a string of some MB, an expression with a choice in its loop exhausts the engine's stack.
function withoutStrings(json: string): string {
  let rest = '';
  let from = 0;
  for (let open = json.indexOf('"'); open >= 0; open = json.indexOf('"', from)) {
    rest += json.slice(from, open);
    from = endOfString(json, open + 1);
  }
  return rest + json.slice(from);
}

/** Place after the quote that ends a string. */
function endOfString(json: string, start: number): number {
  for (let index = start; index < json.length; index++) {
    if (json[index] === '\\') index++;
    else if (json[index] === '"') return index + 1;
  }
  return json.length;
}

function count(skeleton: string): number {
  return skeleton.split(':').length;
}

function isExact(number: string): boolean {
  return decimal(number) === decimal(String(Number(number)));
}

/** Significant digits and exponent, the same for every spelling of a number; zero has no sign. */
function decimal(number: string): string {
  const [mantissa = '', exponent = '0'] = number.toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const power = Number(exponent) - fraction.length + digits.length - significant.length;
  return `${number.startsWith('-') ? '-' : ''}${significant}e${power}`;
}
