// After `vite build`: the one inline script becomes a file, so that the Content-Security-Policy needs no exception; the font is asked for
// with the page, so that it is there for the first paint; every file gets its compressed forms, so that the server compresses nothing.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = fileURLToPath(new URL('../../src/meshhook/workbench/', import.meta.url));
const compressible = new Set(['.html', '.js', '.css', '.json', '.svg', '.txt', '.webmanifest']);

externalise(join(root, 'index.html'));
preload(join(root, 'index.html'));
compress(root);

function externalise(page) {
  const scripts = [];
  const html = readFileSync(page, 'utf8').replace(/<script>([\s\S]*?)<\/script>/g, (_, text) => {
    const name = `_app/immutable/start.${createHash('sha256').update(text).digest('hex').slice(0, 8)}.js`;
    writeFileSync(join(root, name), text.trim());
    scripts.push(name);
    return `<script src="/${name}"></script>`;
  });
  if (scripts.length !== 1) throw new Error(`expected one inline script in ${page}, found ${scripts.length}`);
  writeFileSync(page, html);
}

function preload(page) {
  const assets = '_app/immutable/assets';
  const font = readdirSync(join(root, assets)).find((name) => name.endsWith('.woff2'));
  const link = `<link rel="preload" href="/${assets}/${font}" as="font" type="font/woff2" crossorigin />`;
  writeFileSync(page, readFileSync(page, 'utf8').replace('</title>', `</title>${link}`));
}

function compress(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) compress(path);
    else if (compressible.has(extname(entry.name))) {
      const body = readFileSync(path);
      writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
      writeFileSync(`${path}.br`, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));
    }
  }
}
