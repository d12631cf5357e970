// Builds the pages into dist/, compressed beforehand: the server never compresses them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

await build();
let script = 0;
for (const name of readdirSync('dist/assets')) {
  if (!/\.(js|css|svg)$/.test(name)) continue;
  const plain = readFileSync(`dist/assets/${name}`);
  const gz = gzipSync(plain, { level: 9 });
  writeFileSync(`dist/assets/${name}.gz`, gz);
  writeFileSync(
    `dist/assets/${name}.br`,
    brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }),
  );
  if (name.endsWith('.js')) script += gz.length;
}
console.log(`all script: ${Math.round(script / 1000)} kB compressed`);
