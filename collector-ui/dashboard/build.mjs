/* Bundles the dashboard into OUTDIR: node build.mjs OUTDIR [--dev]
 *
 * Writes index.html and assets/* with the hash of their content in the name, a .gz and a .br beside each file and
 * manifest.txt: path<TAB>content type<TAB>1|0 (1 = immutable). Packages come from this folder's node_modules or from
 * NODE_PATH. The output depends on the sources and the lock file alone. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const esbuild = require('esbuild');

const args = process.argv.slice(2);
const dev = args.includes('--dev');
const target = args.find((a) => !a.startsWith('--'));
if (!target) {
    console.error('build.mjs: name the output folder: node build.mjs OUTDIR [--dev]');
    process.exit(2);
}
const outdir = resolve(target);

const types = {
    html: 'text/html; charset=utf-8',
    js: 'text/javascript; charset=utf-8',
    css: 'text/css; charset=utf-8',
    svg: 'image/svg+xml',
    woff2: 'font/woff2',
    txt: 'text/plain; charset=utf-8',
};

/* By hand, since packages with "exports" hide their package.json from require.resolve. */
function package_folder(name) {
    const found = (require.resolve.paths(name) ?? []).map((folder) => join(folder, name)).find((folder) => existsSync(join(folder, 'package.json')));
    if (!found) {
        throw new Error(`package ${name} is not installed: run npm ci first`);
    }
    return found;
}

/* The licence texts of what is inside the bundle, for the "About" part of the help. */
function notices() {
    const parts = ['preact', '@preact/signals', '@preact/signals-core', 'uplot', '@fontsource-variable/inter'];
    return parts
        .map((name) => {
            const folder = package_folder(name);
            const meta = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
            const file = readdirSync(folder).find((f) => /^licen[cs]e/i.test(f));
            return `${name} ${meta.version} (${meta.license})\n\n${file ? readFileSync(join(folder, file), 'utf8') : ''}`;
        })
        .join('\n\n' + '-'.repeat(78) + '\n\n');
}

rmSync(join(outdir, 'assets'), { recursive: true, force: true });
mkdirSync(join(outdir, 'assets'), { recursive: true });

const result = await esbuild.build({
    absWorkingDir: here,
    entryPoints: { main: 'src/main.tsx', style: 'src/styles/style.css' },
    outdir: join(outdir, 'assets'),
    bundle: true,
    splitting: true,
    format: 'esm',
    target: ['es2022'],
    minify: !dev,
    sourcemap: dev ? 'linked' : false,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    loader: { '.woff2': 'file', '.svg': 'dataurl' },
    alias: { 'inter.woff2': join(package_folder('@fontsource-variable/inter'), 'files/inter-latin-wght-normal.woff2') },
    jsx: 'automatic',
    jsxImportSource: 'preact',
    metafile: true,
    logLevel: 'warning',
    legalComments: 'none',
    define: { DEV: String(dev) },
    nodePaths: (process.env.NODE_PATH ?? '').split(':').filter(Boolean),
});

const output_of = (entry) =>
    'assets/' +
    relative(
        join(outdir, 'assets'),
        resolve(here, Object.entries(result.metafile.outputs).find(([, o]) => o.entryPoint === entry)[0]),
    );
const script = output_of('src/main.tsx');
const style = output_of('src/styles/style.css');
const font = Object.keys(result.metafile.outputs).find((f) => f.endsWith('.woff2'));
const icon = readFileSync(join(here, 'src/icon.svg'));
const icon_name = `assets/icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8).toUpperCase()}.svg`;
writeFileSync(join(outdir, icon_name), icon);
writeFileSync(join(outdir, 'assets/notices.txt'), notices());

const page = readFileSync(join(here, 'src/index.html'), 'utf8')
    .replace('%SCRIPT%', `/${script}`)
    .replace('%STYLE%', `/${style}`)
    .replace('%ICON%', `/${icon_name}`)
    .replace('%FONT%', `/assets/${font.split('/').pop()}`);
writeFileSync(join(outdir, 'index.html'), page);

const files = ['index.html', ...readdirSync(join(outdir, 'assets')).sort().map((f) => `assets/${f}`)];
let manifest = '';
let gzip_total = 0;
for (const file of files) {
    const bytes = readFileSync(join(outdir, file));
    const extension = file.split('.').pop();
    const gz = gzipSync(bytes, { level: 9 });
    const br = brotliCompressSync(bytes, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
    writeFileSync(join(outdir, `${file}.gz`), gz);
    writeFileSync(join(outdir, `${file}.br`), br);
    const immutable = file !== 'index.html' && file !== 'assets/notices.txt';
    manifest += `${file}\t${types[extension] ?? 'application/octet-stream'}\t${immutable ? 1 : 0}\n`;
    gzip_total += gz.length;
    console.log(`${file.padEnd(48)} ${String(bytes.length).padStart(8)} ${String(gz.length).padStart(8)} gz ${String(br.length).padStart(8)} br`);
}
writeFileSync(join(outdir, 'manifest.txt'), manifest);
console.log(`${'all'.padEnd(57)} ${String(gzip_total).padStart(8)} gz`);
