/* Bundles test/*.test.ts with what they import and runs them: node test/run.mjs [name part] */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const esbuild = createRequire(import.meta.url)('esbuild');
/* what the collector's encoder wrote in its own test */
const golden = join(here, '..', '..', '..', 'tests', 'golden', 'live');
const wanted = process.argv[2] ?? '';
const outdir = mkdtempSync(join(tmpdir(), 'netscope-dashboard-test-'));
let code = 1;
try {
    await esbuild.build({
        entryPoints: readdirSync(here).filter((f) => f.endsWith('.test.ts') && f.includes(wanted)).map((f) => join(here, f)),
        outdir, bundle: true, platform: 'node', format: 'esm', target: ['node18'], outExtension: { '.js': '.test.mjs' }, logLevel: 'warning', sourcemap: 'inline',
    });
    const files = readdirSync(outdir).map((f) => join(outdir, f));
    code = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...files], { stdio: 'inherit', env: { ...process.env, NETSCOPE_GOLDEN_LIVE: golden } }).status ?? 1;
} finally {
    rmSync(outdir, { recursive: true, force: true });
}
process.exit(code);
