/** Bundles the tests for Node, with what they import: the generated types are CommonJS that Node cannot import by name. */

import { readdirSync } from 'node:fs';
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    ssr: true,
    outDir: 'node_modules/.test',
    rolldownOptions: {
      input: readdirSync('test')
        .filter((name) => name.endsWith('.test.ts'))
        .map((name) => `test/${name}`),
    },
  },
  ssr: { noExternal: true },
});
