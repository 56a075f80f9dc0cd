/* Sensors in a browser, against a fake collector of its own: the list, the page of one with what it lost by cause, two side by side,
 * and on the overview what is usual.
 *
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/sensors.test.mjs */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { axe_source, chromium_path, colours_on, cut_off, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
const LOSING = 's-sgp-1';
const DAYS = 9; /* of history: what is usual needs some */
let browser;
let fake;
let page;
let faults;

before(async () => {
    if (has_browser) {
        browser = await start_browser();
        fake = await start_fake({ days: DAYS });
        ({ page, faults } = await watched_page(browser.context, fake.url));
    }
});

after(async () => {
    await browser?.close();
    await fake?.close();
});

async function show(hash, size = { width: 1440, height: 900 }, theme = 'dark') {
    await page.setViewportSize(size);
    await page.goto('about:blank');
    await page.addInitScript((t) => location.protocol.startsWith('http') && localStorage.setItem('netscope.theme', t), theme);
    await page.goto(`${fake.url}/${hash}`);
    await wait_for('the connection', () => page.locator('.live:has-text("Live")').count());
}

const address = (pattern) => wait_for(`${pattern} in the address`, () => pattern.test(decodeURIComponent(page.url())));
const panel = (title) => page.locator(`section.panel[aria-label="${title}"]`);
const text_of = (title) => panel(title).innerText().catch(() => '');

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

test('each sensor has its last day as a strip, and its loss leads to when it was', options, async () => {
    await show('#/sensors');
    await wait_for('strips', async () => (await page.locator('td.day canvas.heat').count()) === 12);
    await wait_for('a painted strip', async () => (await colours_on(page, 'td.day canvas.heat')) > 3);
    const losing = page.locator('.grid-table tbody tr').filter({ hasText: 'sgp-1' });
    await losing.locator('td[data-title="Lost"] a').click();
    await address(/#\/sensors\?.*sensor=s-sgp-1.*m=loss|#\/sensors\?.*m=loss.*sensor=s-sgp-1/);
    await wait_for('what was lost', async () => /packets lost per/.test(await page.locator('.hp-chart .sub').innerText().catch(() => '')));
    await page.goBack();
    await page.locator('.grid-table tbody tr').filter({ hasText: 'fra-1' }).locator('td').first().click();
    await address(/sensor=s-fra-1/);
});

test('the page of a sensor says how it stands, by interface, by cause, and where its records go', options, async () => {
    await show(`#/sensors?t=now-15m..now&sensor=${LOSING}`);
    await wait_for('its figures', async () => /Memory\s+612.MB of 1\.07.GB/.test(await text_of('How it stands')));
    await wait_for('a drawn chart', async () => (await colours_on(page, '.hp-chart canvas')) > 2);
    await wait_for('its day', async () => (await colours_on(page, '.sn-day canvas.heat')) > 3);
    const interfaces = panel('Interfaces').locator('tbody tr');
    assert.equal(await interfaces.count(), 2);
    assert.match(await interfaces.nth(1).innerText(), /eno2\s+not port 22/);
    const lost = await text_of('Lost, by cause');
    for (const line of [/Network interface\s+0 packets/, /Kernel\s+\d.*packets/, /Queues of the sensor handover full\s+77 packets/, /Not decoded non ip, malformed\s+42 packets/, /Flow table full\s+5 flows/, /Way to the collector given up unsent\s+31 records/]) {
        assert.match(lost, line);
    }
    assert.match(await text_of('Where its records go'), /told lost or missing\s+31/);
    assert.match(await text_of('Settings in force'), /nothing[\s\S]*site Singapore/);
    assert.match(await text_of('Its alerts'), /Sensor losing packets/);
    await shot('sensor');
    await panel('Lost, by cause').getByRole('link', { name: 'Kernel' }).click();
    await address(/m=loss/);
    await page.keyboard.press('o');
    await address(/#\/flows\?.*sensor = s-sgp-1|#\/flows\?.*sensor = "s-sgp-1"/);
});

test('two sensors stand side by side, and one that was never seen is told so', options, async () => {
    await show(`#/sensors?t=now-15m..now&sensor=${LOSING}`);
    await wait_for('its figures', async () => /Memory/.test(await text_of('How it stands')));
    await page.locator('#sensor-vs').selectOption('s-lab-7');
    await address(/vs=s-lab-7/);
    await wait_for('both', async () => /0\.1\.0\s+0\.0\.9/.test(await text_of('How it stands')));
    await wait_for('two charts', async () => (await page.locator('.hp-chart canvas').count()) === 2);
    await page.locator('body').press('Escape');
    await wait_for('one', async () => (await page.locator('.hp-chart').count()) === 1);
    await show('#/sensors?sensor=%3Cimg%20src%3Dx%3E%E2%80%AE');
    await wait_for('what is wrong', async () => /No sensor of this name was ever seen here/.test(await page.locator('.state[role=alert]').innerText().catch(() => '')));
    assert.match(await page.locator('.crumbs').innerText(), /<img src=x>⟨202E⟩/);
    assert.equal(await page.locator('.crumbs img').count(), 0);
    const expected = faults.filter((f) => /404/.test(f)).length;
    faults.splice(0, faults.length, ...faults.filter((f) => !/404/.test(f)));
    assert.ok(expected > 0);
});

test('the overview holds its figures against the same time on the days before', options, async () => {
    await show('#/overview?t=now-15m..now');
    await wait_for('the usual range of five tiles', async () => (await page.locator('.kpi .spark-band').count()) === 5);
    const notes = await page.locator('.kpi .d').allInnerTexts();
    assert.ok(notes.slice(0, 5).every((note) => /^within usual range$|^([+−]\d+.%|\d+\.\d×) vs usual \d\d:\d\d$/.test(note)), JSON.stringify(notes));
    assert.match(await page.locator('.kpi').first().getAttribute('title'), /^usual: the median of \d\d:\d\d to \d\d:\d\d UTC on 7 of the 7 days before/);
    await show('#/overview?t=now-7d..now');
    await wait_for('a figure', async () => /\d/.test(await page.locator('.kpi .v').first().innerText()));
    assert.equal(await page.locator('.kpi .spark-band').count(), 0);
});

test('of a filter that nothing matches each term says what it leaves out, and a click drops it', options, async () => {
    await show('#/flows?t=now-15m..now&f=server.port%20%3D%20443%20AND%20app%20%3D%20ssh');
    const without = page.locator('.state.empty .without');
    await wait_for('both terms', async () => (await without.count()) === 2);
    const counts = (await without.locator('.dim').allInnerTexts()).map((t) => Number(t.replace(/\D/g, '')));
    assert.ok(counts[0] >= counts[1] && counts[1] > 0, JSON.stringify(counts));
    await without.filter({ hasText: 'SSH' }).click();
    await address(/f=server\.port = 443(&|$)/);
    await page.waitForSelector('.vr');
});

for (const theme of ['dark', 'light']) {
    for (const [width, height] of [[1440, 900], [1024, 768], [390, 844]]) {
        test(`the page of a sensor can be read at ${width} in ${theme}`, options, async () => {
            await show(`#/sensors?t=now-15m..now&sensor=${LOSING}`, { width, height }, theme);
            await wait_for('its figures', async () => /Memory/.test(await text_of('How it stands')));
            await wait_for('a drawn chart', async () => (await colours_on(page, '.hp-chart canvas')) > 2);
            assert.deepEqual(await cut_off(page), []);
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
            await page.evaluate(axe_source());
            const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
            assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`), []);
            await shot(`sensor-${theme}-${width}`);
        });
    }
}

for (const theme of ['dark', 'light']) {
    test(`what opens on a page and what is empty has no accessibility violation in ${theme}`, options, async () => {
        const check = async (what) => {
            await page.evaluate(axe_source());
            const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
            return found.violations.map((v) => `${what}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`);
        };
        const found = [];
        await show('#/flows?t=now-15m..now&f=server.port%20%3D%20443%20AND%20app%20%3D%20ssh', undefined, theme);
        await page.locator('.state.empty .without').first().waitFor();
        found.push(...(await check('a filter that nothing matches')));
        await show('#/flows?t=now-15m..now', undefined, theme);
        await page.waitForSelector('.vr .c-rate');
        await page.getByRole('button', { name: 'Columns' }).click();
        await page.locator('.menu-checks').getByRole('button', { name: 'Packets' }).waitFor();
        found.push(...(await check('the menu of columns')));
        await show('#/alerts?t=now-1h..now', undefined, theme);
        await page.locator('.al-row').filter({ hasText: 'Port scan' }).locator('.a-t').click();
        await page.locator('.dr .around .spark-line').waitFor();
        found.push(...(await check('an alert')));
        assert.deepEqual(found, []);
    });
}

test('nothing went wrong on the way', options, () => assert.deepEqual(faults, []));
