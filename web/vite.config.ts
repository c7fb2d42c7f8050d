import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [sveltekit()],
  build: { target: 'es2023', chunkSizeWarningLimit: 2000 },
  // `npm run dev` beside a running `make up`.
  server: {
    proxy: Object.fromEntries(
      ['/api', '/hooks', '/openapi.json', '/problems'].map((path) => [path, 'http://127.0.0.1:8080'])
    )
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' }
});
