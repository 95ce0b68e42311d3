const STRINGS = /"(?:[^"\\]|\\.)*"/g;
const NUMBERS = /-?\d[\d.eE+-]*/g;

/**
 * Whether a JSON text was parsed without loss. `compact` is the JSON of what it was parsed into. It does not where a name stands
 * twice, of which `JSON.parse` keeps one, or where a number has more digits than a double.
 */
export function keepsAll(text: string, compact: string): boolean {
  if (text === compact) return true;
  // What is left without the strings: numbers, literals, and a colon for each member.
  const skeleton = text.replace(STRINGS, '');
  return count(skeleton) === count(compact.replace(STRINGS, '')) && (skeleton.match(NUMBERS) ?? []).every(isExact);
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
