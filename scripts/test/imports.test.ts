import { describe, expect, it } from 'vitest';
import { sourceUses } from '../imports.ts';

const imports = (text: string) => sourceUses('file.ts', text).imports.map(({ name, line }) => `${name}:${line}`);
const ciphers = (text: string) => sourceUses('file.ts', text).ciphers.map(({ name, line }) => `${name}:${line}`);

describe('sourceUses', () => {
  it.each([
    ["import a from 'a';"],
    ["import 'a';"],
    ["import type { A } from 'a';"],
    ["export { a } from 'a';"],
    ["export * from 'a';"],
    ["export type { A } from 'a';"],
    ["const a = await import('a');"],
    ['const a = await import(`a`);'],
    ["const a = require('a');"],
    ["import a = require('a');"],
    ["let a: import('a').A;"],
    ["let a: typeof import('a');"],
  ])('finds the import in %s', (text) => {
    expect(imports(`// first line\n${text}`)).toEqual(['a:2']);
  });

  it('finds imports after a backtick in a regular expression', () => {
    expect(imports("const tick = /`/;\nawait import('a');\nimport 'b';")).toEqual(['a:2', 'b:3']);
  });

  it('takes comments and strings for what they are', () => {
    expect(imports('// import "a"\n/** import("b") */ const text = "import(\'c\')";')).toEqual([]);
    expect(ciphers('/** Like createCipheriv, subtle.encrypt. */ const text = "not createCipheriv";')).toEqual([]);
  });

  it.each([
    ["import { createCipheriv } from 'node:crypto';", 'createCipheriv:1'],
    ["import { createDecipheriv as open } from 'node:crypto';", 'createDecipheriv:1'],
    ["crypto['createCipher']('x')", 'createCipher:1'],
    ['crypto.subtle.encrypt(a, k, d)', 'subtle.encrypt:1'],
    ['globalThis.crypto.subtle.decrypt(a, k, d)', 'subtle.decrypt:1'],
    ["subtle['encrypt'](a, k, d)", 'subtle.encrypt:1'],
    ['const { decrypt } = webcrypto.subtle;', 'subtle.decrypt:1'],
    ['const { wrapKey: wrap } = subtle;', 'subtle.wrapKey:1'],
  ])('finds the cipher in %s', (text, found) => {
    expect(ciphers(text)).toEqual([found]);
  });

  it('finds no cipher in signing, nor in the envelope of a keyring', () => {
    expect(ciphers('subtle.sign(a, k, d); keyring.encrypt(value); const { encrypt } = keyring;')).toEqual([]);
  });
});
