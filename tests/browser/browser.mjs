/* What the browser tests share: one Chromium with a fresh profile, and pages that note everything that must not happen.
 *
 * playwright-core comes from collector-ui/dashboard/node_modules, or from NODE_PATH. */
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const dashboard_folder = join(here, '..', '..', 'collector-ui', 'dashboard');

const FLAGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

function load(name) {
    for (const base of [join(dashboard_folder, 'package.json'), import.meta.url]) {
        try {
            return createRequire(base)(name);
        } catch (error) {
            if (error.code !== 'MODULE_NOT_FOUND') {
                throw error;
            }
        }
    }
    throw new Error(`${name} is not installed: run npm ci in collector-ui/dashboard`);
}

export const chromium_path = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const has_browser = existsSync(chromium_path);

export async function start_browser(viewport = { width: 1440, height: 900 }) {
    const { chromium } = load('playwright-core');
    const profile = mkdtempSync(join(tmpdir(), 'netscope-browser-'));
    const context = await chromium.launchPersistentContext(profile, { executablePath: chromium_path, headless: true, args: FLAGS, viewport, acceptDownloads: true });
    return {
        context,
        async close() {
            await context.close();
            rmSync(profile, { recursive: true, force: true });
        },
    };
}

/* A page and the list of what went wrong on it: console errors, uncaught errors, CSP violations, requests elsewhere or
 * answered with an error. */
export async function watched_page(context, base) {
    const faults = [];
    const page = await context.newPage();
    const origin = new URL(base).origin;
    page.on('console', (m) => {
        if (m.type() === 'error') {
            faults.push(`console: ${m.text()} (${m.location().url})`);
        }
    });
    page.on('pageerror', (e) => faults.push(`uncaught: ${e.message}`));
    page.on('request', (r) => {
        const url = new URL(r.url());
        if (['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol) && url.host !== new URL(origin).host) {
            faults.push(`request to another origin: ${r.url()}`);
        }
    });
    page.on('response', (r) => {
        if (r.status() >= 400) {
            faults.push(`status of ${r.status()}: ${r.url()}`);
        }
    });
    page.on('websocket', (ws) => {
        if (new URL(ws.url()).host !== new URL(origin).host) {
            faults.push(`socket to another origin: ${ws.url()}`);
        }
    });
    await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP violation: ${e.violatedDirective} ${e.blockedURI}`));
    });
    return { page, faults };
}

/* Number of different colours on the first canvas that matches; 1 or 0 is a blank one. */
export function colours_on(page, selector) {
    return page.evaluate((s) => {
        const canvas = document.querySelector(s);
        if (!canvas || canvas.width === 0) {
            return 0;
        }
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const seen = new Set();
        for (let i = 0; i < data.length && seen.size < 64; i += 4 * 7) {
            seen.add((data[i] << 24) | (data[i + 1] << 16) | (data[i + 2] << 8) | data[i + 3]);
        }
        return seen.size;
    }, selector);
}

/* What of the page cannot be read in its width: a button or a figure that is cut off, a table that is wider than its box, a cell that
 * does not stand below its heading, a name of which nothing is left. */
export function cut_off(page) {
    return page.evaluate(() => {
        const found = [];
        const seen = (e) => e.getClientRects().length > 0;
        const main = document.querySelector('main').getBoundingClientRect();
        for (const button of document.querySelectorAll('main button')) {
            const box = button.getBoundingClientRect();
            /* a row of them that is scrolled by a finger shows that it goes on */
            if (seen(button) && box.right > main.right + 1 && !button.closest('.sevs, .tscroll')) {
                found.push(`button ${button.innerText || button.ariaLabel}: ${Math.round(box.right)} of ${Math.round(main.right)}`);
            }
        }
        /* a figure or a heading of which a part is missing */
        for (const cell of document.querySelectorAll('main .vr .num, main .th > *, main .kpi .v, main .figures .num')) {
            if (seen(cell) && cell.scrollWidth > cell.clientWidth + 1 && cell.clientWidth > 0) {
                found.push(`${cell.className} ${cell.innerText}: ${cell.scrollWidth} in ${cell.clientWidth}`);
            }
        }
        /* a name of which nothing can be told */
        for (const name of document.querySelectorAll('main .vr .c-dst .mid, main .vr .c-src')) {
            if (seen(name) && name.clientWidth < Math.min(72, name.scrollWidth)) {
                found.push(`name ${name.innerText}: ${name.clientWidth}`);
            }
        }
        for (const label of document.querySelectorAll('main .map-draw text')) {
            const [box, room] = [label.getBoundingClientRect(), label.closest('.map-draw').getBoundingClientRect()];
            if (box.left < room.left - 1 || box.right > room.right + 1) {
                found.push(`label ${label.textContent}: ${Math.round(box.left)} to ${Math.round(box.right)} of ${Math.round(room.right)}`);
            }
        }
        for (const table of document.querySelectorAll('main .mini')) {
            const name = table.parentElement.ariaLabel;
            const heads = [...table.querySelectorAll('thead th')].filter(seen);
            if (table.scrollWidth > table.parentElement.clientWidth + 1) {
                found.push(`table ${name}: ${table.scrollWidth} in ${table.parentElement.clientWidth}`);
            }
            for (const row of table.querySelectorAll('tbody tr')) {
                const cells = [...row.children].filter(seen);
                if (cells.length !== heads.length || cells.some((c, i) => Math.abs(c.getBoundingClientRect().right - heads[i].getBoundingClientRect().right) > 1)) {
                    found.push(`table ${name}: ${heads.map((h) => h.innerText)} over ${cells.map((c) => c.innerText)}`);
                    break;
                }
            }
        }
        return found;
    });
}

export async function wait_for(what, condition, timeout_ms = 10_000) {
    const end = Date.now() + timeout_ms;
    let last;
    do {
        last = await condition();
        if (last) {
            return last;
        }
        await new Promise((r) => setTimeout(r, 100));
    } while (Date.now() < end);
    throw new Error(`waited ${timeout_ms} ms for: ${what}`);
}

export function axe_source() {
    return load('axe-core').source;
}

export function screenshot_folder() {
    const folder = process.env.NETSCOPE_SCREENSHOT_DIR;
    if (folder) {
        mkdirSync(folder, { recursive: true });
    }
    return folder;
}

/* The fake collector with a dashboard built for this run; used where no real one is named. */
export async function start_fake(options = {}) {
    const { spawnSync } = await import('node:child_process');
    const { fake_collector } = await import(join(dashboard_folder, 'test', 'fake_server.mjs'));
    let dist = process.env.NETSCOPE_DASHBOARD_DIST;
    let made = null;
    if (!dist) {
        made = dist = mkdtempSync(join(tmpdir(), 'netscope-dist-'));
        const built = spawnSync(process.execPath, [join(dashboard_folder, 'build.mjs'), dist], { encoding: 'utf8' });
        if (built.status !== 0) {
            throw new Error(`the dashboard does not build:\n${built.stderr}`);
        }
    }
    const fake = await fake_collector({ ...options, dist });
    return {
        ...fake,
        dist,
        async close() {
            await fake.close();
            if (made) {
                rmSync(made, { recursive: true, force: true });
            }
        },
    };
}
