import ts from 'typescript';

/** A module that a source file names, or a cipher that it uses. */
export interface Found {
  readonly name: string;
  /** From 1. */
  readonly line: number;
}

export interface SourceUses {
  /** Specifiers of static, type-only and dynamic imports, re-exports, import types and `require`. */
  readonly imports: readonly Found[];
  /** Ciphers of node:crypto and of WebCrypto, by any spelling that names them. */
  readonly ciphers: readonly Found[];
}

const NODE_CIPHERS = new Set([
  'createCipher',
  'createCipheriv',
  'createDecipher',
  'createDecipheriv',
  'Cipheriv',
  'Decipheriv',
]);
const SUBTLE_CIPHERS = new Set(['encrypt', 'decrypt', 'wrapKey', 'unwrapKey']);

/**
 * What a source file imports and which ciphers it names. Comments and prose in strings don't count.
 *
 * Reads the syntax tree: `ts.preProcessFile` scans tokens only, takes a backtick in a regular expression for the start
 * of a template and from there on sees no import.
 */
export function sourceUses(fileName: string, text: string): SourceUses {
  const source = ts.createSourceFile(fileName, text, ts.ScriptTarget.Latest, true);
  const imports: Found[] = [];
  const ciphers: Found[] = [];
  const found = (name: string, node: ts.Node): Found => ({
    name,
    line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1,
  });
  const visit = (node: ts.Node): void => {
    const specifier = specifierOf(node);
    if (specifier !== undefined) imports.push(found(specifier.text, specifier));
    const cipher = cipherOf(node);
    if (cipher !== undefined) ciphers.push(found(cipher, node));
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { imports, ciphers };
}

function specifierOf(node: ts.Node): ts.StringLiteralLike | undefined {
  const named = moduleNameOf(node);
  return named !== undefined && ts.isStringLiteralLike(named) ? named : undefined;
}

function moduleNameOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isExternalModuleReference(node)) return node.expression;
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  if (!ts.isCallExpression(node)) return undefined;
  const { expression } = node;
  const loads =
    expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(expression) && expression.text === 'require');
  return loads ? node.arguments[0] : undefined;
}

function cipherOf(node: ts.Node): string | undefined {
  if (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) return NODE_CIPHERS.has(node.text) ? node.text : undefined;
  if (ts.isPropertyAccessExpression(node)) return subtleCipher(node.expression, node.name);
  if (ts.isElementAccessExpression(node)) return subtleCipher(node.expression, node.argumentExpression);
  if (!ts.isBindingElement(node) || !ts.isVariableDeclaration(node.parent.parent)) return undefined;
  return subtleCipher(node.parent.parent.initializer, node.propertyName ?? node.name);
}

function subtleCipher(object: ts.Node | undefined, member: ts.Node): string | undefined {
  if (object === undefined || textOf(ts.isPropertyAccessExpression(object) ? object.name : object) !== 'subtle') {
    return undefined;
  }
  const name = textOf(member);
  return name !== undefined && SUBTLE_CIPHERS.has(name) ? `subtle.${name}` : undefined;
}

function textOf(node: ts.Node): string | undefined {
  return ts.isIdentifier(node) || ts.isStringLiteralLike(node) ? node.text : undefined;
}
