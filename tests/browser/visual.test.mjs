/* What pages look like, held against how they looked: each with a clock that stands still and the fake collector's figures.
 *
 * A picture is kept as the mean colours of its tiles (tests/golden/dashboard/visual.json), which is what a committed reference
 * can be without megabytes of images, and which says nothing of how letters are smoothed. At most 0.2 of 100 tiles may differ.
 *
 *   NETSCOPE_VISUAL_WRITE=1   takes what is seen as the reference; look at the pictures before you commit it
 *   NETSCOPE_SCREENSHOT_DIR   where the pictures go; else into build/screenshots where one differs
 *
 * node --test tests/browser/visual.test.mjs */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { chromium_path, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const REFERENCE = join(here, '..', 'golden', 'dashboard', 'visual.json');
const NOW = Date.UTC(2026, 10, 23, 14, 4);
const TILE = 16;
const TOLERANCE = 12; /* of 255, of a tile's mean */
const DIFFERENT_MAX = 0.002;
const write = process.env.NETSCOPE_VISUAL_WRITE === '1';
const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };

const kept = existsSync(REFERENCE) ? JSON.parse(readFileSync(REFERENCE, 'utf8')) : { fonts: '', views: {} };
const taken = { fonts: '', views: {} };
let fakes;
let browser;
let page;
let faults;
let scale; /* a page that reads pictures */

before(async () => {
    if (!has_browser) {
        return;
    }
    fakes = { full: await start_fake({ now: NOW, frozen: true }), empty: await start_fake({ now: NOW, frozen: true, empty: true }) };
    browser = await start_browser();
    ({ page, faults } = await watched_page(browser.context, fakes.full.url));
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await page.addInitScript((now) => {
        Date.now = () => now;
        performance.now = () => 1000;
        Object.defineProperty(performance, 'timeOrigin', { value: now - 1000 });
    }, NOW);
    scale = await browser.context.newPage();
    taken.fonts = await scale.evaluate(() => {
        const g = document.createElement('canvas').getContext('2d');
        g.font = '100px ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace';
        return g.measureText('server.port = 443').width.toFixed(0);
    });
});
after(async () => {
    if (write && has_browser) {
        mkdirSync(dirname(REFERENCE), { recursive: true });
        const views = Object.entries(taken.views).map(([name, text]) => `  ${JSON.stringify(name)}: ${JSON.stringify(text)}`);
        writeFileSync(REFERENCE, `{"fonts": ${JSON.stringify(taken.fonts)}, "views": {\n${views.join(',\n')}\n}}\n`);
    }
    await browser?.close();
    await fakes?.full.close();
    await fakes?.empty.close();
});

async function tiles_of(png) {
    return scale.evaluate(async ([data, tile]) => {
        const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
        const canvas = new OffscreenCanvas(Math.ceil(image.width / tile), Math.ceil(image.height / tile));
        const whole = new OffscreenCanvas(image.width, image.height).getContext('2d');
        whole.drawImage(image, 0, 0);
        const { data: pixels } = whole.getImageData(0, 0, image.width, image.height);
        const means = [];
        for (let y = 0; y < canvas.height; y++) {
            for (let x = 0; x < canvas.width; x++) {
                const sum = [0, 0, 0];
                let count = 0;
                for (let v = y * tile; v < Math.min(image.height, (y + 1) * tile); v++) {
                    for (let u = x * tile; u < Math.min(image.width, (x + 1) * tile); u++, count++) {
                        for (let c = 0; c < 3; c++) {
                            sum[c] += pixels[(v * image.width + u) * 4 + c];
                        }
                    }
                }
                means.push(...sum.map((s) => Math.round(s / count)));
            }
        }
        return { wide: canvas.width, means };
    }, [png.toString('base64'), TILE]);
}

async function compare(name) {
    await page.evaluate(() => document.fonts.ready);
    await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
    const png = await page.screenshot({ animations: 'disabled', caret: 'hide' });
    const { wide, means } = await tiles_of(png);
    const save = (folder) => {
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, `visual-${name}.png`), png);
    };
    if (screenshot_folder()) {
        save(screenshot_folder());
    }
    taken.views[name] = gzipSync(Buffer.from(means), { level: 9 }).toString('base64');
    if (write) {
        return;
    }
    assert.ok(kept.views[name], `${name} has no reference: run with NETSCOPE_VISUAL_WRITE=1`);
    const reference = gunzipSync(Buffer.from(kept.views[name], 'base64'));
    assert.equal(means.length, reference.length, `${name} has another size`);
    const different = [];
    for (let i = 0; i < means.length; i += 3) {
        if ([0, 1, 2].some((c) => Math.abs(means[i + c] - reference[i + c]) > TOLERANCE)) {
            different.push([((i / 3) % wide) * TILE, Math.floor(i / 3 / wide) * TILE]);
        }
    }
    if (different.length > (DIFFERENT_MAX * means.length) / 3) {
        const folder = screenshot_folder() ?? join(here, '..', '..', 'build', 'screenshots');
        save(folder);
        assert.fail(`${name}: ${different.length} of ${means.length / 3} tiles look otherwise, first at ${different.slice(0, 6).map(([x, y]) => `${x},${y}`).join(' ')}; see ${join(folder, `visual-${name}.png`)}. ` +
            'If it is meant: NETSCOPE_VISUAL_WRITE=1');
    }
}

/* One loading for each theme and size; after it the address alone changes. */
let loaded = '';
async function show(hash, { theme = 'dark', size = WIDE, fake = fakes.full } = {}) {
    const wanted = `${theme} ${size.width} ${fake.url}`;
    if (loaded !== wanted) {
        await page.setViewportSize(size);
        await page.goto('about:blank');
        await page.addInitScript((t) => location.protocol.startsWith('http') && localStorage.setItem('netscope.theme', t), theme);
        await page.goto(`${fake.url}/${hash}`);
        await wait_for('the connection', async () => (await page.locator('.live:has-text("Live")').count()) > 0);
        loaded = wanted;
    } else {
        await page.evaluate((h) => (location.hash = h), hash);
    }
    await page.mouse.move(3, 3);
    await page.waitForTimeout(500); /* charts are drawn four times a second */
    await wait_for('what it asks for', async () => (await page.locator('main .panel, main .first').count()) > 0 && (await page.locator('main .skeleton').count()) === 0);
    await page.waitForTimeout(400);
}

const WIDE = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const PAGES = ['overview', 'sensors', 'flows', 'hosts', 'map', 'alerts', 'packets', 'system'];
const row = (selector) => async () => {
    await page.locator(selector).first().click();
    await page.mouse.move(3, 3);
    await page.waitForTimeout(600);
};
const STATES = [
    ['flow', '#/flows?f=app%20%3D%20tls', row('.vr')],
    ['alert', '#/alerts', row('.al-row .a-t')],
    ['packet', '#/packets', row('.vr')],
    ['sensor', '#/sensors?sensor=s-sgp-1', null],
    ['host', '#/hosts?host=10.3.7.41', null],
    ['sites', '#/overview?by=site', null],
    ['networks', '#/map?by=labels.site', null],
    ['no-match', '#/flows?f=app%20%3D%20tls%20AND%20server.port%20%3D%2081', null],
    ['help', '#/overview', () => page.keyboard.press('?')],
];

const differs_by_fonts = () => !write && kept.fonts !== taken.fonts && `the fonts here are others than those of the reference (${taken.fonts} instead of ${kept.fonts})`;

const others = (t) => {
    if (differs_by_fonts()) {
        t.skip(differs_by_fonts());
    }
    return Boolean(differs_by_fonts());
};

for (const [theme, size, where] of [['dark', WIDE, ''], ['light', WIDE, ''], ['light', PHONE, '-phone']]) {
    test(`pages in ${theme}${where} look as they did`, options, async (t) => {
        for (const name of others(t) ? [] : PAGES) {
            await t.test(name, async () => {
                await show(`#/${name}`, { theme, size });
                await compare(`${name}-${theme}${where}`);
            });
        }
    });
}

test('what opens on pages looks as it did', options, async (t) => {
    for (const [name, hash, act] of others(t) ? [] : STATES) {
        await t.test(name, async () => {
            await show(hash);
            await act?.();
            await compare(name);
        });
    }
});

test('a first run and a lost collector look as they did', options, async (t) => {
    if (others(t)) {
        return;
    }
    await show('#/overview', { fake: fakes.empty });
    await compare('first-run');
    await show('#/overview', { theme: 'light' });
    fakes.full.control.refuse = true;
    fakes.full.lose_clients(60_000);
    await page.waitForSelector('.note');
    await page.waitForTimeout(300);
    await compare('disconnected');
});

test('nothing went wrong on the way', options, () => assert.deepEqual(faults.filter((f) => !/another origin|socket to another/.test(f)), []));
