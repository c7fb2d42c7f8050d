import adapter from '@sveltejs/adapter-static';

/** One page application: the API process serves the same page for every path, and `scripts/finish.js` makes it fit for its CSP. */
export default {
  compilerOptions: { runes: true },
  kit: {
    adapter: adapter({
      pages: '../src/meshhook/workbench',
      assets: '../src/meshhook/workbench',
      fallback: 'index.html'
    }),

    // Pages of an older build, open in a browser while the server is upgraded, notice it and load anew.
    version: { pollInterval: 60_000 }
  }
};
