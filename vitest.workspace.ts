import { defineConfig } from 'vitest/config';

const project = (folder: string) => ({
  extends: true as const,
  test: {
    name: folder.replace(/^.*\//, ''),
    root: `./${folder}`,
    include: ['test/**/*.test.ts'],
  },
});

export default defineConfig({
  test: {
    reporters: process.env.KEYWRIGHT_REPORT
      ? ['default', ['json', { outputFile: process.env.KEYWRIGHT_REPORT }]]
      : ['default'],
    projects: [project('packages/envelope')],
  },
});
