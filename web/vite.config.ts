import { defineConfig } from 'vitest/config';

// While you work on the pages they ask a running node, the demo's admin listener.
const node = process.env.FOREBAY_NODE ?? 'http://127.0.0.1:9191';

export default defineConfig({
  base: './',
  plugins: [
    {
      name: 'what-the-server-fills-in',
      apply: 'serve',
      transformIndexHtml: (html) => html.replaceAll('{{base}}', '/').replaceAll('{{nonce}}', ''),
    },
  ],
  server: { proxy: { '/api': node, '/health': node, '/metrics': node } },
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
    assetsInlineLimit: 0,
    rollupOptions: {
      // "use client" is for servers that render; here all is the client.
      onwarn: (warning, warn) => warning.code !== 'MODULE_LEVEL_DIRECTIVE' && warn(warning),
    },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'], setupFiles: ['src/testing.ts'] },
});
