/* The dashboard beside a collector that misbehaves: always the fake one, which can be told to. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium_path, colours_on, has_browser, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
let fake;
let browser;

before(async () => {
    if (has_browser) {
        fake = await start_fake();
        browser = await start_browser();
    }
});
after(async () => {
    await browser?.close();
    await fake?.close();
});

const status = (page) => page.locator('.status').innerText();
const connected = (page) => wait_for('live', async () => /● connected/.test(await status(page)));
/* The page is told not to come back for so long: what brings it back then is the button. */
const LONG_MS = 60_000;

test('a lost collector is told at once, and the missing time comes from history', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/overview?t=now-5m..now`);
    await connected(page);
    await wait_for('a painted chart', async () => (await colours_on(page, '.uplot canvas')) > 4);
    fake.control.refuse = true;
    fake.lose_clients(LONG_MS);
    await page.waitForSelector('.note');
    assert.match(await page.locator('.note').innerText(), /Lost the collector/);
    assert.match(await status(page), /disconnected, attempt 1/);
    await page.getByRole('button', { name: 'Try now' }).click();
    await wait_for('another attempt is told', async () => /disconnected, attempt 2/.test(await status(page)));
    const asked_before = fake.control.requests.length;
    fake.control.refuse = false;
    await page.getByRole('button', { name: 'Try now' }).click();
    await connected(page);
    await wait_for('history is asked for again', () => fake.control.requests.slice(asked_before).some((r) => r.startsWith('/v1/timeseries')));
    await page.close();
});

test('a page comes back by itself after a collector that went without a word', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/overview?t=now-5m..now`);
    await connected(page);
    const before_lost = fake.control.connections;
    fake.lose_clients();
    await wait_for('a new connection', () => fake.control.connections > before_lost);
    await connected(page);
    assert.equal(await page.locator('.note').count(), 0);
    await page.close();
});

test('a collector that hangs is told though the connection stands, and the page goes on where it goes on', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/overview?t=now-5m..now`);
    await connected(page);
    fake.control.silent = true;
    await wait_for('the silence', async () => /connected, silent/.test(await status(page)));
    assert.match(await page.locator('.note').innerText(), /has sent nothing for [\d.]+\ss.*You see data up to \d\d:\d\d:\d\d/s);
    assert.equal(await page.locator('.shell.lost').count(), 1, 'the figures are of before');
    assert.match(await page.locator('.live').first().innerText(), /Silent/);
    fake.control.silent = false;
    await connected(page);
    assert.equal(await page.locator('.note, .shell.lost').count(), 0);
    fake.control.silent = true;
    await wait_for('the silence', async () => /connected, silent/.test(await status(page)));
    // Asked for while it is silent: with the next frame the note goes, and its button with it.
    const before_asked = fake.control.connections;
    await page.locator('.note').getByRole('button', { name: 'Reconnect' }).click();
    await wait_for('a new connection', () => fake.control.connections > before_asked);
    fake.control.silent = false;
    await connected(page);
    await page.close();
});

test('a page that is opened while the collector is lost comes when it is back', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/overview?t=now-5m..now`);
    await connected(page);
    await page.route('**/*', (route) => route.abort());
    fake.control.refuse = true;
    fake.lose_clients(LONG_MS);
    await page.waitForSelector('.note');
    await page.locator('nav a', { hasText: 'Alerts' }).click();
    await wait_for('told', async () => /comes as soon as the collector answers/.test(await page.locator('main').innerText()));
    assert.doesNotMatch(await status(page), /live/);
    await page.unroute('**/*');
    fake.control.refuse = false;
    await page.getByRole('button', { name: 'Try now' }).click();
    await page.waitForSelector('.al-page');
    await page.close();
});

test('frames with unequal columns are counted and leave the page as it was', options, async () => {
    const { page, faults } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/?perf=1#/overview?t=now-5m..now`);
    await connected(page);
    fake.control.broken_frames = 2;
    await wait_for('two rejected', async () => /rejected \/ unknown\s+2 \/ 0/.test(await page.locator('.perf').innerText()));
    assert.ok(await page.locator('.kpi').count());
    assert.deepEqual(faults, []);
    await page.close();
});

for (const skew of [500, -500, 3_600_000]) {
    test(`a collector's clock ${skew} ms off gives no wrong lag`, options, async () => {
        fake.control.clock_skew_ms = skew;
        const { page } = await watched_page(browser.context, fake.url);
        await page.goto(`${fake.url}/?perf=1#/sensors`);
        await wait_for('several pings', async () => /\(([3-8]) pings\)/.test(await page.locator('.perf').innerText()));
        /* half of the quickest round trip is what the offset may be wrong by, and is told beside it; 30 ms for clocks that are being set */
        const [, offset, error] = /clock offset\s+([+-]?[\d.]+) ± ([\d.]+)/.exec(await page.locator('.perf').innerText());
        assert.ok(Math.abs(Number(offset) - skew) < Number(error) + 30 && Number(error) < 200, `${offset} ± ${error}`);
        /* a lag that is wrong by the skew never becomes one of less than that */
        await wait_for('a lag', async () => Number(/lag p50[^\n]*\n(\d+)/.exec(await page.locator('.perf').innerText())?.[1]) < 400);
        await page.close();
    });
}
test('the clock is right again', options, () => {
    fake.control.clock_skew_ms = 0;
});

test('a collector without any sensor says how to connect one', options, async () => {
    const empty = await start_fake({ empty: true });
    const { page, faults } = await watched_page(browser.context, empty.url);
    await page.goto(empty.url);
    await page.waitForSelector('.first');
    assert.match(await page.locator('.first').innerText(), /netscope-collector enroll/);
    for (const name of ['flows', 'map', 'alerts', 'packets', 'sensors']) {
        await page.goto(`${empty.url}/#/${name}`);
        await wait_for(`${name} is empty and says so`, () => page.locator('.state.empty').count());
    }
    assert.deepEqual(faults, []);
    await page.close();
    await empty.close();
});

test('a collector without filtered series is not asked for one, and the page says so', options, async () => {
    fake.control.filtered_series = false;
    const { page, faults } = await watched_page(browser.context, fake.url);
    const before_count = fake.control.requests.length;
    await page.goto(`${fake.url}/#/flows?t=now-15m..now&f=app%20%3D%20http`);
    await page.waitForSelector('.vr');
    await wait_for('told', async () => /cannot draw traffic by filter/.test(await page.locator('.match').innerText()));
    await page.locator('.vr').first().click();
    await page.waitForSelector('.dr .kv');
    await page.waitForTimeout(500);
    assert.deepEqual(fake.control.requests.slice(before_count).filter((r) => /timeseries.*[?&]filter=/.test(r)), []);
    assert.deepEqual(faults, []);
    await page.close();
    fake.control.filtered_series = true;
});

test('a collector with filtered series is asked for them', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    const before_count = fake.control.requests.length;
    await page.goto(`${fake.url}/#/flows?t=now-15m..now&f=app%20%3D%20http`);
    await page.waitForSelector('.vr');
    await wait_for('asked', () => fake.control.requests.slice(before_count).some((r) => /timeseries.*[?&]filter=/.test(r)));
    await page.waitForSelector('.match canvas');
    /* and while live again, since frames do not hold them */
    await wait_for('asked again', () => fake.control.requests.slice(before_count).filter((r) => /timeseries.*[?&]filter=/.test(r)).length >= 2, 15000);
    await page.close();
});

test('a slow answer shows that it is awaited', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    fake.control.slow_ms = 2500;
    await page.goto(`${fake.url}/#/flows?t=now-15m..now`);
    await page.waitForSelector('.skeleton');
    fake.control.slow_ms = 0;
    await wait_for('rows after all', () => page.locator('.vr').count());
    await wait_for('its figures', async () => /flows/.test(await page.locator('.tblw .ft').innerText()));

    /* Another question: what is on screen answers the one before, and says so. */
    fake.control.slow_ms = 6500;
    await page.evaluate(() => (location.hash = '#/flows?t=now-15m..now&f=app%20%3D%20dns'));
    await page.waitForSelector('.tblw.before');
    assert.match(await page.locator('.tblw .ft').innerText(), /^asking … these are the flows of before/);
    await wait_for('a hint', async () => /narrower filter is answered sooner/.test(await page.locator('.tblw .ft').innerText()));
    fake.control.slow_ms = 0;
    await wait_for('the answer', async () => (await page.locator('.tblw.before').count()) === 0);
    assert.match(await page.locator('.tblw .ft').innerText(), /flows match/);
    await page.close();
});

test('the export holds what the filter says, and no cell can run', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/flows?t=now-1h..now&f=app%20%3D%20http`);
    await page.waitForSelector('.vr');
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'CSV' }).click()]);
    const lines = readFileSync(await file.path(), 'utf8').trim().split('\r\n');
    const shown = Number((await page.locator('.ft b').first().innerText()).replace(/\D/g, ''));
    assert.equal(lines.length - 1, shown);
    assert.ok(lines[0].startsWith('sensor_id,flow_id,'));
    assert.ok(lines.some((l) => l.includes(`"'=HYPERLINK(""http://example.org"")"`)));
    for (const line of lines.slice(1)) {
        assert.doesNotMatch(line, /(^|,)[=+@]/);
    }
    await page.close();
});

test('bidi overrides in names are made visible', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/flows?t=now-6h..now&f=server.name%20%3A%20gpj`);
    await page.waitForSelector('.vr');
    assert.match(await page.locator('.vr .c-dst').first().innerText(), /⟨202E⟩/);
    await page.close();
});

test('rows stay where they are while the pointer is over them', options, async () => {
    const { page } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/flows?t=now-1h..now`);
    await page.waitForSelector('.vr');
    await page.mouse.move(700, 500);
    await page.waitForTimeout(200);
    const order = () => page.locator('.vr .c-src').allInnerTexts();
    const first = await order();
    await page.waitForTimeout(6500);
    assert.deepEqual(await order(), first);
    await page.close();
});

test('a collector in trouble says so on the page System', options, async () => {
    fake.control.trouble = true;
    const { page, faults } = await watched_page(browser.context, fake.url);
    await page.goto(`${fake.url}/#/system`);
    const text = (title) => page.locator(`section[aria-label="${title}"]`).innerText().catch(() => '');
    await wait_for('the store', async () => /disk is full/.test(await text('Store')));
    assert.match(await text('Ingest'), /takes nothing[\s\S]*Sensors throttled\s+4/);
    assert.match(await text('Clients of the live feed'), /does not keep up/);
    assert.match(await text('Receivers of alerts'), /pager[\s\S]*last try failed/);
    fake.control.trouble = false;
    await page.route('**/v1/status', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"the collector starts or stops","reason":"STARTING"}' }));
    await wait_for('the figures before, and that they are', async () => /figures before/.test(await page.locator('.system .map-note').innerText().catch(() => '')), 15_000);
    assert.match(await text('Store'), /disk is full/);
    await page.unroute('**/v1/status');
    await wait_for('well again', async () => /State\s+well/.test(await text('Store')), 15_000);
    await page.close();
    assert.deepEqual(faults.filter((f) => !/503/.test(f)), []);
});
