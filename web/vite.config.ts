/** Builds the page into `dist`, so that it can be hosted under any path. */

import { defineConfig, type Plugin } from 'vite';

/** The built page runs its own scripts only. While developing, Vite adds others. */
const contentSecurityPolicy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: {
        'http-equiv': 'Content-Security-Policy',
        content:
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src *; " +
          "base-uri 'none'; form-action 'none'",
      },
      injectTo: 'head-prepend',
    },
  ],
};

export default defineConfig({
  base: './',
  plugins: [contentSecurityPolicy],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The Momento SDK has 1.6 MB, compressed 0.2 MB, and loads while the user signs in.
    chunkSizeWarningLimit: 1600,
    // google-protobuf contains an eval that never runs. The policy above would not let it.
    rolldownOptions: { checks: { eval: false } },
  },
});
