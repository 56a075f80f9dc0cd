/* The dashboard in a browser against a collector that runs.
 *
 *   NETSCOPE_DASHBOARD_URL      http://127.0.0.1:8080; without it a fake collector with made-up data is started
 *   NETSCOPE_EXPECT_SERVER_IP   address of a server that must be found in Flows (else the first flow's)
 *   NETSCOPE_EXPECT_ALERTS=1    at least one alert must be listed
 *   NETSCOPE_EXPECT_PACKETS=1   at least one packet sample must be listed
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/dashboard.test.mjs */
import assert from 'node:assert/strict';
import { request as http_request } from 'node:http';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { axe_source, chromium_path, colours_on, cut_off, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
const PAGES = ['overview', 'sensors', 'flows', 'hosts', 'map', 'alerts', 'packets', 'system'];
const CSP =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

let fake = null;
let base = process.env.NETSCOPE_DASHBOARD_URL?.replace(/\/$/, '');
let browser;
let page;
let faults;

before(async () => {
    if (!has_browser) {
        return;
    }
    if (!base) {
        fake = await start_fake();
        base = fake.url;
    }
    browser = await start_browser();
    ({ page, faults } = await watched_page(browser.context, base));
});

after(async () => {
    await browser?.close();
    await fake?.close();
});

async function show(hash, size = { width: 1440, height: 900 }, theme = 'dark') {
    await page.setViewportSize(size);
    await page.goto('about:blank'); /* else only the part behind # changes and nothing is loaded */
    await page.addInitScript((t) => location.protocol.startsWith('http') && localStorage.setItem('netscope.theme', t), theme);
    await page.goto(`${base}/${hash}`);
    await page.waitForSelector('main');
    await wait_for('the connection', () => page.locator('.live:has-text("Live"), .btn:has-text("Go live"), .live.held').count());
}

/* The address follows what is on the page a moment later. */
const address = (pattern) => wait_for(`${pattern} in the address`, () => pattern.test(page.url()));
const address_without = (pattern) => wait_for(`no ${pattern} in the address`, () => !pattern.test(page.url()));

const json = async (path) => (await fetch(base + path)).json();

async function shot(name) {
    const folder = screenshot_folder();
    if (folder) {
        await page.screenshot({ path: join(folder, `${name}.png`) });
    }
}

test('the files come with a strict policy, compressed, and cached by their names', options, async () => {
    const index = await fetch(`${base}/`, { headers: { 'accept-encoding': 'br' } });
    assert.equal(index.status, 200);
    assert.equal(index.headers.get('content-security-policy'), CSP);
    assert.equal(index.headers.get('x-content-type-options'), 'nosniff');
    assert.match(index.headers.get('cache-control') ?? '', /no-cache/);
    const html = await index.text();
    assert.doesNotMatch(html, /<script(?![^>]*src=)|<style|\son\w+=|style="/);
    const script = /src="([^"]+\.js)"/.exec(html)[1];
    const answer = await fetch(base + script, { headers: { 'accept-encoding': 'br' } });
    assert.match(answer.headers.get('cache-control') ?? '', /immutable/);
    assert.match(answer.headers.get('content-type') ?? '', /javascript/);
});

test('a page of another origin cannot open the live feed', options, async () => {
    const url = new URL(base);
    const status = await new Promise((resolve, reject) => {
        const r = http_request({
            host: url.hostname, port: url.port, path: '/v1/live',
            headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-protocol': 'live.v1.json', origin: 'http://evil.example' },
        });
        r.on('response', (a) => resolve(a.statusCode));
        r.on('upgrade', (a, socket) => (socket.destroy(), resolve(a.statusCode)));
        r.on('error', (e) => (e.code === 'ECONNRESET' ? resolve(0) : reject(e)));
        r.end();
    });
    assert.notEqual(status, 101);
});

test('the overview paints its chart, tiles and top flows', options, async () => {
    await show('#/overview');
    await page.waitForSelector('.uplot canvas');
    await wait_for('a painted chart', async () => (await colours_on(page, '.uplot canvas')) > 4);
    assert.equal(await page.locator('.kpi').count(), 6);
    await wait_for('a figure in the first tile', async () => /\d/.test(await page.locator('.kpi .v').first().innerText()));
    await wait_for('a sentence', async () => (await page.locator('.sit p').innerText()).length > 5);
    await wait_for('sensors in the pulse', () => page.locator('.pl').count());
    await wait_for('a painted strip', async () => (await colours_on(page, 'canvas.heat')) >= 1);
    await wait_for('ribbons', () => page.locator('.ribbon').count());
    await wait_for('top flows', () => page.locator('.tr').count());
});

test('the chart can be read as a table with the same steps', options, async () => {
    await show('#/overview');
    await page.waitForSelector('.uplot canvas');
    await page.getByRole('button', { name: 'Show as table' }).click();
    await wait_for('rows', () => page.locator('.ctable tbody tr').count());
});

test('hovering reads the figures of that time, dragging chooses it, Back returns', options, async () => {
    await show('#/overview');
    await wait_for('a painted chart', async () => (await colours_on(page, '.uplot canvas')) > 4);
    const box = await page.locator('.u-over').boundingBox();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 40);
    await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
    await wait_for('a time in the legend', async () => /\d\d:\d\d:\d\d/.test(await page.locator('.leg .hd').innerText()));
    const before_url = page.url();
    await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 60, { steps: 5 });
    await page.mouse.up();
    await address(/t=20\d\d-.*\.\.20\d\d-/);
    await page.getByRole('button', { name: 'Go live' }).waitFor();
    await page.goBack();
    await wait_for('the range before', async () => page.url() === before_url);
});

test("a flow's server is found, opened, and still there after reloading", options, async () => {
    const ip = process.env.NETSCOPE_EXPECT_SERVER_IP ?? (await json('/v1/flows?page_size=1&order_by=bytes%20desc')).flows[0]?.server.ip;
    assert.ok(ip, 'the collector has no flow at all');
    await show('#/flows');
    await page.fill('#filter', `server.ip = "${ip}"`);
    await page.keyboard.press('Enter');
    await address(/f=server\.ip/);
    await wait_for('one chip', async () => (await page.locator('.chips .chip').filter({ hasText: 'destination' }).count()) === 1);
    await wait_for('matching rows alone', async () => {
        const shown = await page.locator('.vr .c-dst').evaluateAll((cells) => cells.map((c) => c.dataset.value));
        return shown.length > 0 && shown.every((value) => value === ip);
    });
    await wait_for('the traffic of what matches, or that there is none of it', async () =>
        (await page.locator('.match canvas').count()) > 0 || /cannot draw traffic by filter/.test(await page.locator('.match').innerText()));
    await page.locator('.vr').first().click();
    await page.waitForSelector('.dr .kv');
    await wait_for('the address in the drawer', async () => (await page.locator('.dr').innerText()).includes(ip));
    await shot('flow-drawer');
    await address(/sel=/);
    const url = page.url();
    await page.reload();
    await page.waitForSelector('.dr .kv');
    assert.equal(page.url(), url);
    assert.equal(await page.inputValue('#filter'), `server.ip = "${ip}"`);
    await page.keyboard.press('Escape');
    await wait_for('a closed drawer', async () => (await page.locator('.dr').count()) === 0);
    await page.goBack();
});

test("a flow's drawer shows what its networks are called, and a click on a label filters by it", options, async (t) => {
    const named = (await json('/v1/flows?page_size=200')).flows.find((flow) => Object.keys(flow.server.labels ?? {}).length > 0);
    if (!named) {
        t.skip('no flow of this collector has labels');
        return;
    }
    const [key, value] = Object.entries(named.server.labels)[0];
    await show(`#/flows?f=${encodeURIComponent(`flow_id = "${named.flow_id}"`)}`);
    await page.locator('.vr').first().click();
    await page.waitForSelector('.dr .kv');
    await wait_for('the label in the drawer', async () => (await page.locator('.dr').innerText()).includes(value));
    await shot('flow-drawer-labels');
    await page.locator('.dr .val', { hasText: value }).first().click();
    await wait_for('the label in the filter', async () => (await page.inputValue('#filter')).includes(`server.labels.${key} = "${value}"`));
    await wait_for('its flow alone', async () => (await page.locator('.vr').count()) > 0);
    await page.keyboard.press('Escape');
});

test('a click on a facet includes, with Alt it excludes', options, async () => {
    await show('#/flows');
    await page.waitForSelector('.fr');
    const first = page.locator('.fr').first();
    await first.click();
    await wait_for('a chip', () => page.locator('.chip:not(.not)').count());
    await address(/f=app%20/);
    await page.locator('.fr').first().click();
    await address_without(/[?&]f=/);
    await page.locator('.fr').first().click({ modifiers: ['Alt'] });
    await wait_for('an excluding chip', () => page.locator('.chip.not').count());
    await page.goBack();
    await address_without(/[?&]f=/);
});

test('a flow that two sensors saw is one row that names both', { ...options, ...(process.env.NETSCOPE_DASHBOARD_URL ? { skip: 'of the fake collector' } : {}) }, async () => {
    await show('#/flows?t=now-1h..now');
    const marked = page.locator('.fl:has(.seen)').first();
    await marked.waitFor();
    assert.equal(await marked.locator('.seen').getAttribute('aria-label'), '2 sensors');
    const merged = await page.locator('.ft b').first().innerText();
    await marked.click();
    const table = page.locator('.seenby table');
    await table.waitFor();
    await shot('flow-seen-by-dark');
    assert.equal(await table.locator('tbody tr').count(), 2);
    assert.match(await table.locator('tbody tr.on').innerText(), /counts/);
    assert.match(await table.locator('tbody tr:not(.on)').innerText(), /\+3/);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'each sensor' }).click();
    await address(/d=all/);
    await wait_for('a row for each', async () => Number((await page.locator('.ft b').first().innerText()).replace(/\D/g, '')) > Number(merged.replace(/\D/g, '')));
    assert.equal(await page.locator('.fl .seen').count(), 0);
    assert.equal(await page.getByRole('button', { name: 'each sensor' }).getAttribute('aria-pressed'), 'true');
    await show('#/flows?t=now-1h..now', undefined, 'light');
    await page.locator('.fl:has(.seen)').first().click();
    await table.waitFor();
    await shot('flow-seen-by-light');
    await show('#/flows?t=now-1h..now', { width: 390, height: 844 });
    await page.locator('.fl').nth(1).waitFor();
    await shot('flows-seen-by-phone');
});

test('a wrong filter is underlined where it is wrong', options, async () => {
    await show('#/flows');
    await page.fill('#filter', 'server.port = 443 AND nonsense_field = 3');
    await page.waitForSelector('.fault');
    assert.equal(await page.locator('.wrong').first().innerText(), 'nonsense_field');
    /* the collector's own answer of 400 is what the check is for */
    faults.splice(0, faults.length, ...faults.filter((f) => !/400/.test(f)));
    await page.fill('#filter', '');
});

test('names chosen by strangers are shown as text', options, async () => {
    await show('#/flows?t=now-24h..now');
    await page.waitForSelector('.vlist');
    assert.equal(await page.locator('main img').count(), 0);
    assert.doesNotMatch(await page.locator('main').innerText(), /[\u202a-\u202e\u2066-\u2069]/);
});

test('alerts are listed with their reason', options, async () => {
    const { alerts } = await json('/v1/alerts?state=all');
    await show('#/alerts');
    if (process.env.NETSCOPE_EXPECT_ALERTS) {
        assert.ok(alerts.length > 0, 'the collector has no alert');
    }
    if (alerts.length === 0) {
        await wait_for('the empty state', () => page.locator('.state.empty').count());
        return;
    }
    await page.waitForSelector('.al-row');
    await page.locator('.al-row').first().click();
    await page.waitForSelector('.dr .kv');
    assert.match(await page.locator('.dr').innerText(), /Severity/);
    await page.keyboard.press('Escape');
});

test('a field marks its bytes, a byte marks its field', options, async () => {
    const { packets } = await json('/v1/packets?limit=5');
    await show('#/packets');
    if (process.env.NETSCOPE_EXPECT_PACKETS) {
        assert.ok(packets.length > 0, 'the collector has no packet sample');
    }
    if (packets.length === 0) {
        await wait_for('the empty state', () => page.locator('.state.empty').count());
        return;
    }
    await page.waitForSelector('.vr');
    await page.locator('.vr').first().click();
    await page.waitForSelector('.tf2');
    const field = page.locator('.tf2:not([data-length="0"])').first();
    const offset = Number(await field.getAttribute('data-offset'));
    const length = Number(await field.getAttribute('data-length'));
    await field.click();
    await page.mouse.move(5, 5);
    await wait_for('marked bytes', async () => (await page.locator('.hex .by.hl').count()) === length);
    assert.equal(await page.locator('.hex .by.hl').first().getAttribute('data-b'), String(offset));
    const other = page.locator('.tf2:not([data-length="0"])').nth(2);
    const wanted = Number(await other.getAttribute('data-offset'));
    await page.locator(`.hex .by[data-b="${wanted}"]`).click();
    await page.mouse.move(5, 5);
    await wait_for('the marked field', async () => (await page.locator('.tf2.on').count()) > 0);
    assert.equal(Number(await page.locator('.tf2.on').first().getAttribute('data-offset')), wanted);
    await address(/at_b=/);
    await shot('packet');
});

test('the packets of a TCP flow are drawn by sequence and time, and a point is a packet', options, async (t) => {
    const told = (await json('/v1/packets?limit=2000')).packets.filter((p) => /TCP \d+ > \d+ \[[^\]]*\] seq=/.test(p.summary) && /FORWARD|REVERSE/.test(p.direction));
    /* of those with enough samples the latest: the collector keeps the newest packets only */
    const by_flow = new Map();
    told.forEach((p, place) => by_flow.set(p.flow_id, [...(by_flow.get(p.flow_id) ?? []), place]));
    const [flow] = [...by_flow].filter(([, places]) => places.length >= 4).sort((a, b) => a[1][3] - b[1][3])[0] ?? [''];
    if (!flow) {
        t.skip('no flow of this collector has four TCP samples');
        return;
    }
    await show(`#/packets?flow=${flow}`);
    await wait_for('its points', async () => (await page.locator('.seq-point').count()) >= 3);
    assert.match(await page.locator('.seq svg').getAttribute('aria-label'), /Bytes of each side over .*The list has all packets/);
    await page.locator('.seq-point').first().click();
    await address(/sel=/);
    await page.waitForSelector('.hex .by');
    await wait_for('its point marked', async () => (await page.locator('.seq-point.on').count()) === 1);
    await shot('sequence');
});

test('pause keeps the instant in the address, resume goes on', options, async () => {
    await show('#/overview?t=now-5m..now');
    await wait_for('a frame', async () => !/frame 0\b/.test(await page.locator('.status').innerText()));
    await page.keyboard.press('Space');
    await page.waitForSelector('.note.held');
    await address(/at=\d+/);
    await page.reload();
    await page.waitForSelector('.note.held');
    await page.keyboard.press('Space');
    await wait_for('live again', async () => (await page.locator('.note.held').count()) === 0);
    await address_without(/at=\d/);
});

test('columns are chosen by a menu, stand in the address, and the usual ones come back', options, async () => {
    await show('#/flows?t=now-15m..now');
    await page.waitForSelector('.vr .c-rate');
    const heads = async () => (await page.locator('.th > *').allInnerTexts()).map((t) => t.replace(/ [↑↓]$/, ''));
    const usual = await heads();
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.locator('.menu-checks').getByRole('button', { name: 'Packets' }).click();
    await address(/c=.*pkts/);
    await page.locator('.menu-checks').getByRole('button', { name: 'Rate' }).click();
    await wait_for('other headings', async () => (await heads()).join() === usual.filter((t) => t !== 'bit/s').flatMap((t) => (t === 'RTT' ? ['Packets', t] : [t])).join());
    const cells = await page.locator('.vr').first().locator('[role=gridcell]').count();
    assert.equal(cells, usual.length);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Sort by Packets' }).click();
    await address(/o=packets/);
    await wait_for('the most packets first', async () => {
        const shown = (await page.locator('.vr').evaluateAll((rows) => rows.map((r) => [...r.querySelectorAll('[role=gridcell]')][5].innerText))).map((t) => Number(t.replace(/\D/g, '')));
        return shown.length > 1 && shown.every((n, i) => i === 0 || n <= shown[i - 1]);
    });
    assert.deepEqual(await cut_off(page), []);
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.locator('.menu-checks').getByRole('button', { name: 'Packets' }).click();
    await page.locator('.menu-checks').getByRole('button', { name: 'Rate' }).click();
    await address_without(/[?&]c=/);
    assert.deepEqual(await heads(), usual);
});

test('the map draws what its list says, and an edge leads to its flows', options, async () => {
    await show('#/map?t=now-15m..now');
    await page.waitForSelector('.map-edge');
    const rows = page.locator('.map-list tbody tr');
    assert.equal(await page.locator('.map-edge').count(), await rows.count());
    assert.match(await page.locator('.map-draw svg').getAttribute('aria-label'), /Largest: /);
    await page.keyboard.press('j');
    await wait_for('an edge is chosen', async () => (await page.locator('.map-list tr.sel').count()) === 1 && (await page.locator('.map-edge.lit').count()) === 1);
    await address(/sel=/);
    await page.getByRole('button', { name: 'application', exact: true }).click();
    await address(/by=application/);
    await wait_for('applications', async () => (await page.locator('.map-list tr.sel').count()) === 0 && (await rows.count()) > 0);
    await rows.filter({ hasNotText: /others|unknown/ }).locator('a').first().click();
    await address(/flows\?.*client\.ip.*app/);
    await page.waitForSelector('.vr');
    await page.goBack();
    await address(/#\/map/);
    await show('#/map?t=now-15m..now&f=server.port%20%3D%201%20AND%20server.port%20%3D%202');
    await wait_for('none matches', async () => /matches the filter/.test(await page.locator('.state.empty').first().innerText().catch(() => '')));
});

test('the slider shows the map of one slice of the time, and the whole again', options, async () => {
    const asked = (since) => page.waitForRequest((r) => r.url().includes('/v1/map?') && since(new URL(r.url()).searchParams));
    const long_ms = (q) => Date.parse(q.get('to')) - Date.parse(q.get('from'));
    await show('#/map?t=now-15m..now');
    await page.waitForSelector('.map-edge');
    const slider = page.getByRole('slider', { name: /Slice of this time/ });
    assert.match(await slider.getAttribute('aria-valuetext'), /^whole range/);
    const one = asked((q) => long_ms(q) === 60_000);
    await slider.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    const request = new URL((await one).url()).searchParams;
    await address(new RegExp(`w=${Date.parse(request.get('from'))}`));
    assert.match(await slider.getAttribute('aria-valuetext'), /:00 – \d\d:\d\d:00 UTC, 1\smin/);
    await wait_for('what it found', async () => (await page.locator('main .skeleton').count()) === 0);
    for (const link of await page.locator('.map-list tbody a').all()) {
        assert.match(await link.getAttribute('href'), new RegExp(`t=${request.get('from').slice(0, 13)}`));
        break;
    }
    await shot('map-slice');
    const whole = asked((q) => long_ms(q) > 800_000);
    await page.getByRole('button', { name: 'Whole range' }).click();
    await whole;
    await address_without(/[?&]w=/);
    const played = asked((q) => long_ms(q) <= 60_000);
    await page.getByRole('button', { name: /^Play/ }).click();
    await played;
    await wait_for('the next slice', async () => /[?&]w=/.test(page.url()) && (await page.getByRole('button', { name: 'Stop' }).count()) === 1);
    await page.getByRole('button', { name: 'Stop' }).click();
});

test('the map of networks is by a label, and an edge leads to the flows between two of them', options, async (t) => {
    const flows = (await json('/v1/flows?page_size=200&order_by=bytes%20desc')).flows;
    if (!flows.some((flow) => Object.keys(flow.client.labels ?? {}).length > 0)) {
        t.skip('no flow of this collector has labels');
        return;
    }
    await show('#/map?t=now-15m..now');
    await page.waitForSelector('.map-edge');
    await page.getByRole('button', { name: 'network', exact: true }).click();
    await address(/by=labels\./);
    await page.getByLabel('Label of the networks').selectOption('site');
    await address(/by=labels\.site/);
    await wait_for('networks', async () => (await page.locator('.map-list tbody tr').count()) > 0 && /Frankfurt|Ashburn/.test(await page.locator('.map-list').innerText()));
    await shot('map-networks');
    await page.locator('.map-list tbody tr').filter({ hasText: /Frankfurt|Ashburn/ }).locator('a').first().click();
    await address(/flows\?.*labels\.site/);
    await page.waitForSelector('.vr');
});

test('a host of the list has a page: what it moved, whom it met, what it serves or uses', options, async () => {
    await show('#/hosts?t=now-15m..now');
    await page.waitForSelector('.vr.hs');
    const told = await json('/v1/hosts?limit=1000&order_by=PARTY_ORDER_PEERS');
    assert.ok(told.hosts.length > 0 && Number(told.hosts[0].peers) > 0);
    const name = await page.locator('.vr.hs .h-n a').first().innerText();
    assert.ok(told.hosts.some((h) => h.address === name));
    await page.locator('.vr.hs .h-n a').first().click();
    await address(/host=/);
    await wait_for('its figures', async () => /Peers\s+\d/.test(await page.locator('.figures').innerText().catch(() => '')));
    await wait_for('a drawn chart', async () => (await colours_on(page, '.hp-chart canvas')) > 2);
    const lines = (title) => page.locator(`section[aria-label="${title}"] tbody tr`).count();
    await wait_for('peers, ports and applications', async () => (await lines('Peers')) > 0 && (await lines('Applications')) > 0 && (await lines('Ports it serves')) + (await lines('Ports it uses')) > 0);
    await shot('host');
    await show('#/hosts?t=now-15m..now&v=services&o=PEERS%20desc');
    await wait_for('services', async () => /:\d+ /.test(await page.locator('.vr.hs').first().innerText().catch(() => '')));
    await shot('services');
});

test('the collector says how it fares, and the report says it as text', options, async () => {
    await show('#/system');
    const figures = (title) => page.locator(`section[aria-label="${title}"] .figures`);
    const told = await json('/v1/status');
    assert.ok(Number(told.process.resident_bytes) > 1e6 && told.store.days.length > 0 && told.live.clients_max > 0);
    await wait_for('its figures', async () => /Running for\s+\d/.test(await figures('Collector').innerText().catch(() => '')));
    await wait_for('a rate, from two answers', async () => /Records\s+[\d.]+\s?k?\/s/.test(await figures('Ingest').innerText()), 15_000);
    assert.match(await figures('Store').innerText(), /On disk\s+[\d.]+.[kMGT]?B/);
    await wait_for('this page among the clients', async () => (await page.locator('section[aria-label="Clients of the live feed"] tbody tr').count()) >= 1);
    await wait_for('the ledger', async () => /collector\s+ingest/.test(await page.locator('section[aria-label="Loss ledger"]').innerText()));
    assert.match(await figures('This page').innerText(), /clock offset\s/);
    await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { configurable: true, value: { writeText: async (text) => void (window.copied = text) } }));
    await page.keyboard.press('c');
    const text = await wait_for('a copy', () => page.evaluate(() => window.copied));
    for (const line of [/^Collector\n {2}Version: /m, /^Ingest$/m, /^Store$/m, /^This page$/m, /^Loss ledger\n {2}collector ingest/m, /Chrome\//]) {
        assert.match(text, line);
    }
    await shot('system');
});

test('the keyboard alone walks through the pages, and ? lists every key', options, async () => {
    await show('#/overview');
    for (const [keys, name] of [['gf', 'flows'], ['gh', 'hosts'], ['gm', 'map'], ['gs', 'sensors'], ['ga', 'alerts'], ['gy', 'system'], ['go', 'overview']]) {
        for (const k of keys) {
            await page.keyboard.press(k);
        }
        await wait_for(name, async () => page.url().includes(`#/${name}`));
    }
    await page.keyboard.press('?');
    await page.waitForSelector('dialog.help');
    assert.ok((await page.locator('dialog.help dt').count()) >= 12);
    await page.keyboard.press('Escape');
    await page.keyboard.press('/');
    await page.keyboard.type('gf t');
    assert.equal(await page.inputValue('#search'), 'gf t');
    await address(/overview/);
});

test('the overlay shows what the page itself costs', options, async () => {
    await page.goto('about:blank');
    await page.goto(`${base}/?perf=1#/overview`);
    await page.waitForSelector('.perf');
    await wait_for('measured frames', async () => /render p50[^\n]*\n[\d.]+ \/ [\d.]+/.test(await page.locator('.perf').innerText()));
    const text = await page.locator('.perf').innerText();
    for (const what of ['fps', 'lag p50', 'frames missed', 'clock offset', '±']) {
        assert.ok(text.includes(what), what);
    }
    await shot('perf');
});

for (const theme of ['dark', 'light']) {
    for (const name of PAGES) {
        test(`${name} in ${theme} has no accessibility violation`, options, async () => {
            await show(`#/${name}`, undefined, theme);
            await wait_for('content', () => page.locator('main .panel, main .first').count());
            await page.waitForTimeout(1200);
            /* through the debugger, which the page's policy does not bind */
            await page.evaluate(axe_source());
            const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
            assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`), []);
            await shot(`${name}-${theme}`);
        });
    }
}

for (const name of PAGES) {
    test(`${name} fits a phone without scrolling sideways`, options, async () => {
        await show(`#/${name}`, { width: 390, height: 844 });
        await page.waitForTimeout(800);
        const wide = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, inner: innerWidth, main: document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth }));
        assert.ok(wide.page <= wide.inner && wide.main <= 0, JSON.stringify(wide));
        assert.deepEqual(await cut_off(page), []);
        await shot(`${name}-phone`);
        await show(`#/${name}`, { width: 360, height: 740 });
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    });
}

for (const [width, height] of [[1440, 900], [1024, 768], [960, 1000], [768, 1024]]) {
    test(`nothing is cut off at ${width}`, options, async () => {
        await show('#/overview', { width, height }, 'light');
        const cut = {};
        for (const name of PAGES) {
            await page.evaluate((to) => (location.hash = `#/${to}`), name);
            await wait_for(name, async () => (await page.locator('.title').innerText()).toLowerCase().startsWith(name));
            await wait_for(`content of ${name}`, () => page.locator('main .panel, main .first').count());
            await wait_for(`what ${name} asks for`, async () => (await page.locator('main .skeleton').count()) === 0);
            cut[name] = await cut_off(page);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) {
                cut[name].push(`the page is ${wide} px wider than the window`);
            }
            await shot(`${name}-${width}`);
        }
        assert.deepEqual(cut, Object.fromEntries(PAGES.map((name) => [name, []])));
    });
}

test('on a phone the other pages are behind one more tab', options, async () => {
    await show('#/overview', { width: 390, height: 844 });
    await page.locator('.rail .tab').click();
    await page.locator('.rail .menu').getByRole('button', { name: 'System' }).click();
    await address(/#\/system/);
    await wait_for('the tab tells where', async () => (await page.locator('.rail .tab').innerText()).trim() === 'System');
    await page.locator('.rail .tab').click();
    await shot('more-phone');
    await page.keyboard.press('Escape');
    await page.locator('.rail a').filter({ hasText: 'Hosts' }).click();
    await address(/#\/hosts/);
});

test('nothing went wrong on the way: no error, no request that ended with one or went elsewhere, no violation of the policy', options, () => {
    assert.deepEqual(faults, []);
});
