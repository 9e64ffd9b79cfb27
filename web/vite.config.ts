/** Builds the page into `dist`, so that it can be hosted under any path. */

import { defineConfig, type Plugin } from 'vite';

/** The built page runs no script but its own. (While developing, Vite adds some.) */
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
    // The Momento SDK is 1.6 MB, 0.2 MB compressed, and loads while the user signs in.
    chunkSizeWarningLimit: 1600,
    // google-protobuf has code with eval in it that never runs, and could not under the policy above.
    rolldownOptions: { checks: { eval: false } },
  },
});
