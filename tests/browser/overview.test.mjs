/* What the overview is split by, live and from history; beside the fake collector, whose figures are known. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { chromium_path, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
let fake;
let browser;
let page;
let faults;

before(async () => {
    if (has_browser) {
        fake = await start_fake();
        browser = await start_browser();
        ({ page, faults } = await watched_page(browser.context, fake.url));
    }
});
after(async () => {
    await browser?.close();
    await fake?.close();
});

async function show(hash) {
    await page.goto('about:blank');
    await page.goto(`${fake.url}/${hash}`);
    await page.waitForSelector('.leg .row');
}

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

const SCALE = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
const number = (text) => {
    const [, value, unit] = /^([\d.]+)\s?([kMG]?)$/.exec(text.replace(/\s/g, ' ').trim()) ?? [];
    return value === undefined ? null : Number(value) * SCALE[unit];
};
/* [name, in, out] of each line of the legend. */
const legend = () => page.locator('.leg button.row').evaluateAll((rows) => rows.map((r) => [r.querySelector('.cut').innerText, ...[...r.querySelectorAll('.num')].map((n) => n.innerText)]));
const frames = async () => Number(/frame\s+(\d+)/.exec(await page.locator('.status').innerText())?.[1] ?? 0);

/* The fake collector's sensors have 63 of 100 of their traffic inwards. */
for (const [by, name] of [['sensor', 'fra-1'], ['site', 'Frankfurt']]) {
    test(`split by ${by}, what frames tell is split in both directions as history is`, options, async () => {
        await show(`#/overview?by=${by}&t=now-5m..now`);
        await wait_for('some frames', async () => (await frames()) >= 4);
        const line = await wait_for('its line', async () => (await legend()).find(([who]) => who === name));
        const [into, out] = line.slice(1).map(number);
        assert.ok(into > 0 && out > 0, JSON.stringify(line));
        assert.ok(Math.abs(into / (into + out) - 0.63) < 0.02, JSON.stringify(line));
        await shot(`overview-by-${by}`);
    });
}

test('an address that splits by what is none splits by application', options, async () => {
    for (const by of ['nothing', 'constructor']) {
        await show(`#/overview?by=${by}&t=now-5m..now`);
        await wait_for('its title', async () => (await page.locator('.p-chart').innerText()).includes('Throughput by application'));
    }
});

test('sites are offered, stand in the address, and are the left side of who talks to whom', options, async () => {
    await show('#/overview?t=now-5m..now');
    await page.getByRole('group', { name: 'Split by' }).getByRole('button', { name: 'Site', exact: true }).click();
    await wait_for('the address', () => /by=site/.test(page.url()));
    await wait_for('the title', async () => (await page.locator('.p-chart h2').innerText()) === 'Throughput by site');
    const site = page.locator('.ribbon-name').filter({ hasText: 'Frankfurt' });
    await site.first().waitFor();
    await site.first().click();
    await wait_for('its sensors in the filter', () => /f=sensor IN \("?s-fra-1"?, "?s-fra-2"?\)/.test(decodeURIComponent(page.url())));
    await page.waitForSelector('.vr');
});

test('nothing went wrong on the way', options, () => assert.deepEqual(faults, []));
