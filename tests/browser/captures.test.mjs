/* Captures of a sensor in a browser, against a fake collector of its own: the bar, what runs, what is kept, and the way there from a flow.
 *
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/captures.test.mjs */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { join } from 'node:path';
import { axe_source, chromium_path, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
let browser;
let fake;
let page;
let faults;

before(async () => {
    browser = has_browser ? await start_browser() : null;
});

after(() => browser?.close());

beforeEach(async () => {
    if (has_browser) {
        fake = await start_fake();
        ({ page, faults } = await watched_page(browser.context, fake.url));
    }
});

afterEach(async () => {
    await page?.close();
    await fake?.close();
});

async function show(hash, theme = 'dark', size = { width: 1440, height: 900 }) {
    await page.setViewportSize(size);
    await page.addInitScript((t) => location.protocol.startsWith('http') && localStorage.setItem('netscope.theme', t), theme);
    await page.goto(`${fake.url}/${hash}`);
    await wait_for('the connection', () => page.locator('.live:has-text("Live")').count());
}

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

const start = () => page.getByRole('button', { name: 'Start', exact: true });
const rows = () => page.locator('.cp');
const chosen = () => page.locator('.cp-sensors .chip');

test('a sensor is asked, the file grows, is stopped, downloaded and deleted', options, async () => {
    await show('#/packets');
    assert.equal(await page.locator('.cps').count(), 0);
    await page.getByRole('button', { name: 'Capture', exact: true }).click();
    await page.waitForSelector('.cps .empty');
    assert.equal(await start().isDisabled(), true, 'which sensor?');
    await page.getByLabel('Sensor', { exact: true }).selectOption('s-fra-1');
    await page.getByLabel('Filter (BPF)').fill('host 10.0.0.7 and tcp port 443');
    await page.getByLabel('For', { exact: true }).selectOption('300');
    await start().click();
    await wait_for('a capture that runs', async () => (await rows().count()) === 1 && (await page.locator('.cp.running').count()) === 1);
    assert.match(await rows().innerText(), /fra-1.*host 10\.0\.0\.7 and tcp port 443.*so far.*by ada/s);
    const before_text = await rows().innerText();
    await wait_for('it grows', async () => (await rows().innerText()) !== before_text);
    await shot('captures-running');
    await rows().getByRole('button', { name: 'Stop' }).click();
    await wait_for('its end', async () => /packets, .*; stopped/.test(await rows().innerText()));
    const [download] = await Promise.all([page.waitForEvent('download'), rows().getByRole('link', { name: 'Download' }).click()]);
    assert.match(download.url(), /\/v1\/captures\/[0-9a-f]{32}\.pcapng$/);
    await rows().getByRole('button', { name: 'Delete' }).click();
    await wait_for('no capture', async () => (await rows().count()) === 0);
    assert.deepEqual(faults, []);
});

test('what the sensor refuses stands where it was asked, and nothing is lost of the form', options, async () => {
    await show('#/packets?cap=1');
    await page.getByLabel('Sensor', { exact: true }).selectOption('s-gru-1');
    await start().click();
    await wait_for('the words of the sensor', async () => /collector\.captures/.test(await page.locator('.cp-bar [role=alert]').innerText()));
    await page.getByLabel('Sensor', { exact: true }).selectOption('s-fra-2');
    await page.getByLabel('Filter (BPF)').fill('tcp and (');
    await page.keyboard.press('Enter');
    await wait_for('the words of libpcap', async () => /syntax error/.test(await page.locator('.cp-bar [role=alert]').innerText()));
    assert.equal(await page.getByLabel('Filter (BPF)').inputValue(), 'tcp and (');
    await shot('captures-refused');
    await page.getByLabel('Filter (BPF)').fill('tcp');
    await page.keyboard.press('Enter');
    await wait_for('a capture', async () => (await rows().count()) === 1);
    assert.equal(await page.locator('.cp-bar [role=alert]').count(), 0);
    /* the refusals are answers of the collector, and Chromium says so */
    assert.deepEqual(faults.filter((f) => !/status of 400/.test(f)), []);
});

test('several sensors are asked, and one that refuses does not stop the others', options, async () => {
    await show('#/packets?cap=1');
    for (const id of ['s-fra-1', 's-gru-1', 's-ams-1', 's-lon-1']) {
        await page.getByLabel('Sensor', { exact: true }).selectOption(id);
    }
    assert.equal(await chosen().count(), 4);
    await page.getByRole('button', { name: 'Without lon-1' }).click();
    assert.deepEqual((await chosen().allInnerTexts()).map((t) => t.replace(/\s*×\s*/, '')), ['fra-1', 'gru-1', 'ams-1']);
    await start().click();
    await wait_for('a capture', async () => (await rows().count()) === 1);
    assert.match(await rows().innerText(), /fra-1, gru-1, ams-1/);
    assert.match(await rows().locator('.fault-text').innerText(), /sensor 's-gru-1'.*collector\.captures/);
    await shot('captures-several');
    assert.deepEqual(faults, []);
});

test('an alert leads to a capture of its packets by those that raised it', options, async () => {
    await show('#/alerts?state=all');
    await page.waitForSelector('.al-row');
    await page.keyboard.press('j');
    await page.locator('.dr').getByRole('button', { name: 'Capture packets' }).click();
    await page.waitForSelector('.cps');
    assert.equal(await page.getByLabel('Filter (BPF)').count(), 0, 'the collector makes it');
    assert.equal(await start().isDisabled(), false);
    await shot('captures-alert');
    await start().click();
    await wait_for('a capture', async () => (await rows().count()) === 1);
    assert.match(await rows().innerText(), /fra-1, ams-1.*host 198\.51\.100\.7/s);
    assert.deepEqual(faults, []);
    await page.getByRole('button', { name: 'A filter instead' }).click();
    assert.equal(await page.getByLabel('Filter (BPF)').count(), 1);
    assert.equal(await start().isDisabled(), true, 'which sensor?');
});

test('from the list of alerts, by a button of the row or by a key', options, async () => {
    await show('#/alerts?state=all');
    await page.waitForSelector('.al-row');
    const first = page.locator('.al-row').first();
    await shot('alerts-list');
    await first.getByRole('button', { name: /^Capture packets of / }).click();
    await page.waitForSelector('.cps');
    const asked = new URL(page.url()).hash;
    assert.match(asked, /^#\/packets\?.*alert=/);
    assert.equal(await page.locator('.dr').count(), 0, 'the row was not opened as well');
    await page.goBack();
    await page.waitForSelector('.al-row');
    await page.keyboard.press('c');
    assert.match(page.url(), /#\/alerts/, 'of which alert?');
    await first.getByRole('checkbox').check();
    await page.keyboard.press('c');
    await page.waitForSelector('.cps');
    assert.equal(new URL(page.url()).hash, asked);
    await page.goBack();
    await page.waitForSelector('.al-row');
    await page.keyboard.press('j');
    await page.waitForSelector('.dr');
    await page.keyboard.press('c');
    await page.waitForSelector('.cps');
    assert.equal(new URL(page.url()).hash, asked);
    assert.deepEqual(faults, []);
});

test('a flow leads to a capture of its own packets', options, async () => {
    await show('#/flows');
    await page.locator('.fl').first().click();
    await page.locator('.dr').getByRole('button', { name: 'Capture packets' }).click();
    await page.waitForSelector('.cps');
    const bpf = await page.getByLabel('Filter (BPF)').inputValue();
    assert.match(bpf, /^(tcp|udp) and host [0-9a-f.:]+ and host [0-9a-f.:]+ and port \d+/);
    assert.ok((await chosen().count()) >= 1, 'who saw it');
    await start().click();
    await wait_for('a capture', async () => (await rows().count()) === 1);
    assert.ok((await rows().innerText()).includes(bpf));
    assert.deepEqual(faults, []);
});

test('who may not capture sees no way to it', options, async () => {
    fake.control.capture = false;
    await show('#/packets?cap=1');
    await page.waitForSelector('.pk-page');
    assert.equal(await page.locator('.cps').count(), 0);
    assert.equal(await page.getByRole('button', { name: 'Capture', exact: true }).count(), 0);
    await page.goto(`${fake.url}/#/alerts?state=all`);
    await page.waitForSelector('.al-row');
    assert.equal(await page.getByRole('button', { name: /^Capture packets/ }).count(), 0);
    assert.equal(fake.control.requests.some((r) => r.startsWith('/v1/captures')), false);
});

for (const [name, theme, size] of [['light', 'light', { width: 1440, height: 900 }], ['phone', 'dark', { width: 390, height: 844 }]]) {
    test(`the bar fits and is accessible: ${name}`, options, async () => {
        await show('#/packets?cap=1', theme, size);
        await page.getByLabel('Sensor', { exact: true }).selectOption('s-fra-1');
        await page.getByLabel('For', { exact: true }).selectOption('10');
        await start().click();
        await wait_for('a capture', async () => (await rows().count()) === 1);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, 'no sideways scrolling');
        await page.evaluate(axe_source());
        const found = await page.evaluate(() => globalThis.axe.run(document.querySelector('.cps')));
        assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes[0].html}`), []);
        await shot(`captures-${name}`);
    });
}
