// Builds the page into dist/, which is committed and which the server embeds; the names are fixed, so
// that the list in http/page.rs is, too. The same sources give the same bytes on every machine.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const node = process.env.KEYVIZ_NODE ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [
    svelte({
      // The page's policy requires trusted types: no component may be cloned from a text of markup.
      compilerOptions: { fragments: 'tree', css: 'external', runes: true },
    }),
  ],
  server: { proxy: { '/admin': node, '/healthz': node, '/readyz': node } },
  // No test is timed: a slow machine may take as long as it wants.
  test: { include: ['src/**/*.test.ts'], testTimeout: 600_000 },
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: 'assets/app.js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
});
