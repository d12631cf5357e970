// Builds the pages into dist/, compressed beforehand: the server never compresses them.
// node build.mjs --check builds elsewhere, and says whether dist/ is what the source makes.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const files = (folder) => readdirSync(folder, { recursive: true }).filter((name) => statSync(join(folder, name)).isFile()).sort();
const compressed = /\.(br|gz)$/;

function compress(folder) {
  for (const name of files(folder)) {
    if (!/\.(js|css|svg)$/.test(name)) continue;
    const plain = readFileSync(join(folder, name));
    writeFileSync(join(folder, `${name}.gz`), gzipSync(plain, { level: 9 }));
    writeFileSync(join(folder, `${name}.br`), brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }));
  }
}

// What compressors write differs between their versions; what it unpacks to must not.
function unpacked(folder, name) {
  const bytes = readFileSync(join(folder, name));
  return name.endsWith('.br') ? brotliDecompressSync(bytes) : name.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

function compare(made) {
  const [is, should] = [files(dist), files(made)];
  const wrong = [...new Set([...is, ...should])].filter((name) => !is.includes(name) || !should.includes(name) || !unpacked(dist, name).equals(unpacked(made, name)));
  if (wrong.length > 0) {
    console.error(`web/dist is not what the source makes: run make web, and commit it\n  ${wrong.join('\n  ')}`);
    process.exit(1);
  }
  console.log(`web/dist is what the source makes: ${is.filter((name) => !compressed.test(name)).length} files`);
}

const check = process.argv.includes('--check');
const outDir = check ? mkdtempSync(join(tmpdir(), 'forebay-web-')) : dist;
await build({ root: here, build: { outDir, emptyOutDir: true }, logLevel: check ? 'warn' : 'info' });
compress(outDir);
if (check) {
  compare(outDir);
  rmSync(outDir, { recursive: true });
}
