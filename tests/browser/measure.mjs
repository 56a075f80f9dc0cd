/* What the dashboard costs a browser, printed and not asserted: figures of time are true of one machine at one moment.
 *
 *   node tests/browser/measure.mjs [--seconds 20] [--heap-seconds 120] [--only bytes,frames,default,first,react,filter,back,table,heap]
 *
 * Beside the fake collector, which is another process: 200 flows and 12 sensors in each frame. CPU is the main thread's own
 * time (CDP Performance, threadTicks; of single tasks from a trace), so other processes make it longer but not much wrong;
 * times of the wall (first chart, reaction, lag) are as long as the machine lets them be: its load stands beside them. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { colours_on, dashboard_folder, has_browser, chromium_path, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const option = (name, otherwise) => {
    const at = process.argv.indexOf(name);
    return at < 0 ? otherwise : process.argv[at + 1];
};
const seconds = Number(option('--seconds', 20));
const heap_seconds = Number(option('--heap-seconds', 120));
const only = option('--only', '');
const pause = (ms) => new Promise((r) => setTimeout(r, ms));
const sorted = (list) => [...list].sort((a, b) => a - b);
const quantile = (list, q) => sorted(list)[Math.min(list.length - 1, Math.floor(q * list.length))];
const say = (what, value) => console.log(`${what.padEnd(64)} ${value}`);
const ms = (v) => `${v.toFixed(1)} ms`;

/* --- the fake collector, in a process of its own ------------------------------------------------------------------ */

if (process.argv.includes('--serve')) {
    const fake = await start_fake({ flows: Number(option('--flows', 1200)) });
    process.on('message', (m) => {
        Object.assign(fake.control, m.control ?? {});
        if (m.lose) {
            fake.lose_clients(m.lose);
        }
    });
    process.send({ url: fake.url });
    await new Promise((r) => process.on('disconnect', r));
    await fake.close();
    process.exit(0);
}

function serve(dist, ...more) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--serve', ...more], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, NETSCOPE_DASHBOARD_DIST: dist } });
    return new Promise((resolve, reject) => {
        child.once('message', ({ url }) => resolve({ url, tell: (m) => child.send(m), close: () => child.disconnect() }));
        child.once('exit', (code) => reject(new Error(`the fake collector ended with ${code}`)));
    });
}

/* --- what is read of a page ----------------------------------------------------------------------------------------- */

async function metrics(session) {
    const { metrics: list } = await session.send('Performance.getMetrics');
    return Object.fromEntries(list.map((m) => [m.name, m.value]));
}

async function open(browser, base, hash, rate = 30) {
    const { page, faults } = await watched_page(browser.context, base);
    await page.addInitScript((hz) => location.protocol.startsWith('http') && localStorage.setItem('netscope.rate', String(hz)), rate);
    await page.goto(`${base}/?perf=1${hash}`);
    await wait_for('frames', async () => Number(/frame\s+(\d+)/.exec(await page.locator('.status').innerText())?.[1]) > 3);
    const session = await browser.context.newCDPSession(page);
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    return { page, session, faults };
}

/* CPU of the main thread's tasks in each slot of so many ms, out of a trace. */
async function traced(session, length_ms, slot_ms) {
    const events = [];
    session.on('Tracing.dataCollected', ({ value }) => events.push(...value));
    await session.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', '__metadata'] } });
    await pause(length_ms);
    const complete = new Promise((r) => session.once('Tracing.tracingComplete', r));
    await session.send('Tracing.end');
    await complete;
    const main = new Set(events.filter((e) => e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid}/${e.tid}`));
    const tasks = events.filter((e) => e.ph === 'X' && e.tdur !== undefined && /RunTask$/.test(e.name) && main.has(`${e.pid}/${e.tid}`));
    /* the busiest of them is this page's */
    const by_thread = Map.groupBy ? Map.groupBy(tasks, (e) => `${e.pid}/${e.tid}`) : tasks.reduce((m, e) => m.set(`${e.pid}/${e.tid}`, [...(m.get(`${e.pid}/${e.tid}`) ?? []), e]), new Map());
    const own = [...by_thread.values()].sort((a, b) => b.length - a.length)[0] ?? [];
    const slots = new Map();
    for (const e of own) {
        const slot = Math.floor(e.ts / 1000 / slot_ms);
        slots.set(slot, (slots.get(slot) ?? 0) + e.tdur / 1000);
    }
    return [...slots.values()];
}

const overlay = async (page) => Object.fromEntries((await page.locator('.perf dl').innerText()).split('\n').reduce((rows, line, i, all) => (i % 2 ? rows : [...rows, [line.trim(), (all[i + 1] ?? '').trim()]]), []));

/* --- the measurements ------------------------------------------------------------------------------------------------- */

async function bytes({ dist }) {
    const assets = readdirSync(join(dist, 'assets'));
    const gz = (name) => readFileSync(join(dist, 'assets', `${name}.gz`)).length;
    const read = (name) => readFileSync(join(dist, 'assets', name), 'utf8');
    const imports = (name, kind) => [...read(name).matchAll(kind === 'static' ? /(?:import|from)\s*"\.\/([\w-]+\.js)"/g : /import\("\.\/([\w-]+\.js)"\)/g)].map((m) => m[1]);
    const closure = (name, seen = new Set()) => {
        if (!seen.has(name)) {
            seen.add(name);
            imports(name, 'static').forEach((next) => closure(next, seen));
        }
        return seen;
    };
    const sum = (names) => [...names].reduce((n, name) => n + gz(name), 0);
    const main = assets.find((name) => /^main-.*\.js$/.test(name));
    const first = closure(main);
    const [css, font] = [assets.find((name) => name.endsWith('.css')), assets.find((name) => name.endsWith('.woff2'))];
    say('first page, gzip: JS / CSS / font', `${(sum(first) / 1000).toFixed(1)} / ${(gz(css) / 1000).toFixed(1)} / ${(gz(font) / 1000).toFixed(1)} kB`);
    say('first page, gzip, all', `${((sum(first) + gz(css) + gz(font)) / 1000).toFixed(1)} kB`);
    for (const page of new Set(imports(main, 'dynamic'))) {
        say(`  and when it is opened: ${page.replace(/-.*/, '')}`, `${(sum([...closure(page)].filter((name) => !first.has(name))) / 1000).toFixed(1)} kB`);
    }
}

async function frames({ browser, fake }) {
    for (const [name, hash] of [['Overview', '#/overview?t=now-1h..now'], ['Flows, 200 rows', '#/flows?t=now-1h..now&o=bytes%20desc']]) {
        const { page, session } = await open(browser, fake.url, hash);
        await pause(2000);
        const before = await metrics(session);
        const seen = Number(/frame\s+(\d+)/.exec(await page.locator('.status').innerText())[1]);
        const started = performance.now();
        await pause(seconds * 1000);
        const after = await metrics(session);
        const took = (performance.now() - started) / 1000;
        const count = Number(/frame\s+(\d+)/.exec(await page.locator('.status').innerText())[1].replace(/\D/g, '')) - seen;
        const told = await overlay(page);
        const slots = await traced(session, Math.min(10, seconds) * 1000, 1000 / 30);
        const cpu = (after.TaskDuration - before.TaskDuration) * 1000;
        say(`30 Hz, ${name}: main thread, mean a frame`, ms(cpu / Math.max(1, count)));
        say('  of it script / style and layout', `${ms(((after.ScriptDuration - before.ScriptDuration) * 1000) / Math.max(1, count))} / ${ms(((after.LayoutDuration + after.RecalcStyleDuration - before.LayoutDuration - before.RecalcStyleDuration) * 1000) / Math.max(1, count))}`);
        say('  main thread, of a 33 ms slot, p50 / p95', slots.length ? `${ms(quantile(slots, 0.5))} / ${ms(quantile(slots, 0.95))}` : 'no trace');
        say('  share of a core', `${((100 * cpu) / 1000 / took).toFixed(1)} %`);
        say('  frames received of 30 a second', (count / took).toFixed(1));
        say('  apply p50 / p95 / p99', told['render p50 / p95 / p99']);
        say('  lag p50 / p95 / p99', told['lag p50 / p95 / p99']);
        say('  missed; coalesced', `${told['frames missed']}; ${told['coalesced here']}`);
        await page.close();
    }
}

async function usual({ browser, fake }) {
    for (const [name, hash] of [['Overview', '#/overview?t=now-1h..now'], ['Flows', '#/flows?t=now-1h..now'], ['Alerts', '#/alerts']]) {
        const { page, session } = await open(browser, fake.url, hash, 1);
        await page.locator('.perf button[aria-label="Close"]').click();
        await pause(2000);
        const before = await metrics(session);
        const started = performance.now();
        await pause(seconds * 1000);
        const after = await metrics(session);
        say(`1 Hz (the default), ${name}: share of a core`, `${((100 * (after.TaskDuration - before.TaskDuration)) / ((performance.now() - started) / 1000)).toFixed(1)} %`);
        await page.close();
    }
}

/* From the navigation to the moment at which the chart has colours, each in a browser without a cache. */
async function first({ fake }) {
    const times = [];
    for (let i = 0; i < 5; i++) {
        const browser = await start_browser();
        const { page } = await watched_page(browser.context, fake.url);
        await page.addInitScript(() => {
            const look = () => {
                const canvas = document.querySelector('.uplot canvas');
                const data = canvas?.width ? canvas.getContext('2d').getImageData(canvas.width >> 1, 0, 1, canvas.height).data : [];
                const seen = new Set();
                for (let i = 0; i < data.length; i += 4) {
                    seen.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
                }
                if (seen.size > 4) {
                    window.first_chart_ms = performance.now();
                } else {
                    requestAnimationFrame(look);
                }
            };
            requestAnimationFrame(look);
        });
        await page.goto(`${fake.url}/#/overview`);
        times.push(await wait_for('a chart', () => page.evaluate(() => window.first_chart_ms)));
        await browser.close();
    }
    say('first chart, cold, of 5: median / worst', `${ms(quantile(times, 0.5))} / ${ms(Math.max(...times))}`);
}

/* Event Timing, as it counts for Interaction to Next Paint; it tells of multiples of 8 ms. */
async function react({ browser, fake }) {
    const { page } = await open(browser, fake.url, '#/flows?t=now-1h..now');
    await page.evaluate(() => {
        window.interactions = new Map();
        new PerformanceObserver((list) => {
            for (const e of list.getEntries()) {
                if (e.interactionId) {
                    window.interactions.set(e.interactionId, Math.max(window.interactions.get(e.interactionId) ?? 0, e.duration));
                }
            }
        }).observe({ type: 'event', durationThreshold: 16, buffered: true });
    });
    let done = 0;
    for (let i = 0; i < 15; i++, done += 2) {
        await page.keyboard.press('j');
        await pause(150);
        await page.locator('.vr').nth(2 + (i % 10)).click();
        await pause(150);
    }
    const told = await page.evaluate(() => [...window.interactions.values()]);
    const list = [...told, ...Array(Math.max(0, done - told.length)).fill(16)]; /* what is quicker is not told */
    say('interaction to next paint at 30 Hz, of 30: p50 / p95 / worst', `${quantile(list, 0.5)} / ${quantile(list, 0.95)} / ${Math.max(...list)} ms`);
    await page.close();
}

/* From the end of the answer to the frame that shows other rows. */
async function filter({ browser, fake }) {
    const { page } = await open(browser, fake.url, '#/flows?t=now-1h..now', 1);
    const times = [];
    for (const f of ['app = tls', 'app = http', 'app = dns', 'server.port = 443', 'app = quic', 'app = kafka', 'app = ssh', 'NOT app = tls']) {
        times.push(await page.evaluate(async (text) => {
            performance.clearResourceTimings();
            const shown = () => document.querySelector('.vlist')?.innerText;
            const before = shown();
            location.hash = `#/flows?t=now-1h..now&f=${encodeURIComponent(text)}`;
            for (;;) {
                await new Promise((r) => requestAnimationFrame(r));
                const answer = performance.getEntriesByType('resource').find((e) => e.name.includes('/v1/flows?'));
                if (answer?.responseEnd && shown() !== before && !document.querySelector('.tblw.before')) {
                    return performance.now() - answer.responseEnd;
                }
            }
        }, f));
        await pause(300);
    }
    say('filter: from the answer (200 rows) to the rows, of 8: median / worst', `${ms(quantile(times, 0.5))} / ${ms(Math.max(...times))}`);
    await page.close();
}

async function back({ browser, fake }) {
    const times = [];
    for (let i = 0; i < 3; i++) {
        const { page } = await open(browser, fake.url, '#/overview?t=now-5m..now', 1);
        fake.tell({ control: { refuse: true }, lose: 60_000 });
        await page.waitForSelector('.note');
        await pause(10_000);
        fake.tell({ control: { refuse: false } });
        await pause(200);
        const started = performance.now();
        const [answer] = await Promise.all([page.waitForResponse((r) => r.url().includes('/v1/timeseries') && r.url().includes('by=app')), page.getByRole('button', { name: 'Try now' }).click()]);
        await answer.finished();
        await wait_for('the chart', async () => (await page.locator('.note').count()) === 0 && (await colours_on(page, '.uplot canvas')) > 4);
        times.push(performance.now() - started);
        await page.close();
    }
    say('back after 10 s without the collector, of 3: median / worst', `${ms(quantile(times, 0.5))} / ${ms(Math.max(...times))}`);
}

async function collected(session) {
    await session.send('HeapProfiler.collectGarbage');
    await pause(300);
    await session.send('HeapProfiler.collectGarbage');
    const m = await metrics(session);
    return { heap: m.JSHeapUsedSize / 1e6, nodes: m.Nodes, listeners: m.JSEventListeners };
}
const change = (a, b) => `${a.heap.toFixed(1)} > ${b.heap.toFixed(1)} MB; nodes ${a.nodes} > ${b.nodes}; listeners ${a.listeners} > ${b.listeners}`;

/* A list of many rows, read to its end page by page. */
async function table({ browser, dist }) {
    const fake = await serve(dist, '--flows', '20000');
    const { page, session } = await open(browser, fake.url, '#/flows?t=now-24h..now', 1);
    await page.waitForSelector('.vr');
    const before = await collected(session);
    const loaded = () => page.locator('.vlist').getAttribute('aria-rowcount').then(Number);
    const started = performance.now();
    let count = 0;
    while (count < 10_000 && performance.now() - started < 120_000) {
        await page.locator('.vlist').evaluate((e) => (e.scrollTop = e.scrollHeight));
        await pause(60);
        count = await loaded();
    }
    const after = await collected(session);
    say(`a list of ${count} flows: heap and what is in the document`, change(before, after));
    const cpu = await metrics(session);
    const from = performance.now();
    for (let i = 0; i < 50; i++) {
        await page.locator('.vlist').evaluate((e, y) => (e.scrollTop = y), (i * 3571) % 200_000);
        await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
    }
    say('  a jump in it: main thread / until it is painted, mean of 50', `${ms(((await metrics(session)).TaskDuration - cpu.TaskDuration) * 20)} / ${ms((performance.now() - from) / 50)}`);
    await page.close();
    fake.close();
}

async function heap({ browser, fake }) {
    for (const [name, hash] of [['Overview', '#/overview?t=now-5m..now'], ['Flows', '#/flows?t=now-5m..now']]) {
        const { page, session } = await open(browser, fake.url, hash);
        await pause(10_000);
        const before = await collected(session);
        await pause(heap_seconds * 1000);
        say(`30 Hz for ${heap_seconds} s, ${name}: heap after collection`, change(before, await collected(session)));
        await page.close();
    }
}

/* --- all of them -------------------------------------------------------------------------------------------------------- */

if (!has_browser) {
    console.log(`SKIP: no browser at ${chromium_path}`);
    process.exit(77);
}
let dist = process.env.NETSCOPE_DASHBOARD_DIST;
const made = dist ? null : (dist = mkdtempSync(join(tmpdir(), 'netscope-dist-')));
if (made && spawnSync(process.execPath, [join(dashboard_folder, 'build.mjs'), dist], { stdio: ['ignore', 'ignore', 'inherit'] }).status !== 0) {
    throw new Error('the dashboard does not build');
}
const browser = await start_browser();
const fake = await serve(dist);
say('processors; load of 1 minute', `${cpus().length} x ${cpus()[0].model}; ${loadavg()[0].toFixed(1)}`);
say('browser', spawnSync(chromium_path, ['--version'], { encoding: 'utf8' }).stdout.trim());
try {
    for (const [name, run] of Object.entries({ bytes, frames, default: usual, first, react, filter, back, table, heap })) {
        if (only === '' || only.split(',').includes(name)) {
            await run({ browser, fake, dist });
        }
    }
} finally {
    say('load of 1 minute, at the end', loadavg()[0].toFixed(1));
    await browser.close();
    fake.close();
    if (made) {
        rmSync(made, { recursive: true, force: true });
    }
}
