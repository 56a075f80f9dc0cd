/* Hosts, services and the page of one host in a browser, against a fake collector of its own: what is listed, sorted, searched and
 * left out, where each value leads, and what is said when an answer is not whole.
 *
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/hosts.test.mjs */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { axe_source, chromium_path, colours_on, cut_off, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
const SCANNER = '10.3.7.41'; /* of which alerts tell */
let browser;
let fake;
let page;
let faults;

before(async () => {
    if (has_browser) {
        browser = await start_browser();
        fake = await start_fake();
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
const json = async (path) => (await fetch(fake.url + path)).json();
const rows = () => page.locator('.vr.hs');
const first = () => rows().first().locator('.h-n a').innerText();
const listed = async (hash) => {
    await show(hash);
    await page.waitForSelector('.vr.hs');
};
const panel = (title) => page.locator(`section.panel[aria-label="${title}"]`);

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

test('hosts are listed as the collector tells them, only those in sight, and sorted by it', options, async () => {
    await listed('#/hosts?t=now-15m..now');
    const told = await json('/v1/hosts?limit=1000');
    await wait_for('the count', async () => (await page.locator('.ft').innerText()).replace(/\D+/g, ' ').trim().startsWith(String(told.found)));
    assert.equal(await first(), told.hosts[0].address);
    assert.ok(told.found > 200 && (await rows().count()) < 60, 'a windowed list');
    await page.getByRole('button', { name: 'Sort by Peers' }).click();
    await address(/o=PEERS desc/);
    const peers = (await json('/v1/hosts?order_by=PARTY_ORDER_PEERS&limit=1')).hosts[0];
    await wait_for('the order', async () => (await rows().first().locator('.h-p').innerText()) === peers.peers);
    await page.getByRole('button', { name: 'Sort by Peers' }).click();
    await address(/o=PEERS asc/);
    await wait_for('the other way', async () => (await rows().first().locator('.h-p').innerText()) === '1');
    await page.goBack();
    await address(/o=PEERS desc/);
    await shot('hosts-sorted');
});

test('a host shows what sensors know of its link, and is found by MAC and DHCP name', options, async () => {
    await show(`#/hosts?t=now-15m..now&host=${SCANNER}`);
    const link = panel('On the link');
    await wait_for('both sensors', async () => (await link.locator('tbody tr').count()) === 2);
    assert.match(await link.innerText(), /02:1b:21:0a:7c:41[\s\S]*scan-lab-41 MSFT 5\.0[\s\S]*ARP, DHCP[\s\S]*fra-1 VLAN 30/);
    assert.match(await link.locator('header').innerText(), /one MAC, 2 sensors/);
    await link.scrollIntoViewIfNeeded();
    await shot('host-link');
    await link.locator('tbody a').first().click();
    await address(/q=02:1b:21:0a:7c:41/);
    await wait_for('its address', async () => /On the links:[\s\S]*10\.3\.7\.41 scan-lab-41/.test(await page.locator('.hs-links').innerText()));
    await show('#/hosts?t=now-15m..now&q=onerror');
    await wait_for('the hostile name', async () => (await page.locator('.hs-links').count()) > 0 && /<img src=x onerror=alert\(1\)>/.test(await page.locator('.hs-links').innerText()));
    assert.equal(await page.locator('.hs-links img').count(), 0);
    await show('#/hosts?t=now-15m..now&q=newcomer');
    await wait_for('one without an address', async () => (await page.locator('.hs-links').count()) > 0 && /no address newcomer/.test(await page.locator('.hs-links').innerText()));
    await shot('hosts-links');
    await show('#/hosts?t=now-15m..now&host=10.3.7.1');
    await wait_for('a router without a flow', async () => /02:00:5e:00:01:1e[\s\S]*router[\s\S]*DHCP server/.test(await panel('On the link').innerText()));
    const other = (await json('/v1/hosts?limit=50')).hosts.find((h) => !h.address.startsWith('10.3.7.')).address;
    await show(`#/hosts?t=now-15m..now&host=${other}`);
    await wait_for('nothing known', async () => /behind a router/.test(await panel('On the link').innerText()));
    assert.deepEqual(faults, []);
});

test('a search goes through all rows, and says when nothing is found', options, async () => {
    await listed('#/hosts?t=now-15m..now');
    await page.keyboard.press('s');
    await page.keyboard.type('kafka');
    await address(/q=kafka/);
    await wait_for('what is found', async () => (await rows().count()) > 0 && (await rows().count()) < 12);
    for (const name of await rows().locator('.h-name').allInnerTexts()) {
        assert.match(name, /kafka/);
    }
    await page.fill('#host-search', 'no such host');
    await wait_for('nothing', async () => /has no such host in it/.test(await page.locator('.state.empty').innerText().catch(() => '')));
    await page.getByRole('button', { name: 'drop the search' }).click();
    await page.waitForSelector('.vr.hs');
    assert.equal(await page.inputValue('#host-search'), '');
});

test('services have port, application and clients', options, async () => {
    await listed('#/hosts?t=now-15m..now');
    await page.keyboard.press('v');
    await address(/v=services/);
    await wait_for('services', async () => /:\d+ /.test(await rows().first().innerText()));
    const told = (await json('/v1/services?limit=1')).services[0];
    assert.equal(await first(), told.address);
    assert.match(await rows().first().innerText(), new RegExp(`:${told.port} `));
    await shot('services');
    await rows().first().locator('.h-b').click();
    await address(/flows\?.*server\.ip = .* AND server\.port = \d+ AND app = /);
});

test('an alt-click leaves a host out, the filter says so, and dropping it brings it back', options, async () => {
    await listed('#/hosts?t=now-15m..now');
    const gone = await first();
    await rows().first().locator('.h-f').click({ modifiers: ['Alt'] });
    await address(new RegExp(`f=ip != "${gone.replaceAll('.', '\\.')}"`));
    await wait_for('another first', async () => (await first()) !== gone);
    await page.getByRole('button', { name: /^Remove/ }).click();
    await wait_for('it is back', async () => (await first()) === gone);
});

test('the keyboard goes to the list, through it, into a host and back', options, async () => {
    await show('#/overview');
    await page.keyboard.press('g');
    await page.keyboard.press('h');
    await address(/#\/hosts/);
    await page.waitForSelector('.vr.hs');
    await page.keyboard.press('j');
    await address(/sel=/);
    const name = await page.locator('.vr.hs.on .h-n a').innerText();
    await page.keyboard.press('Enter');
    await address(new RegExp(`host=${name}`));
    await wait_for('its page', async () => (await page.locator('.crumbs b').innerText()) === name);
    await page.keyboard.press('Escape');
    await address(/#\/hosts(\?(?!.*host=).*)?$/);
    await page.keyboard.press('?');
    await page.waitForSelector('dialog.help');
    assert.match(await page.locator('dialog.help').innerText(), /Hosts[\s\S]*search the list/);
    await page.keyboard.press('Escape');
});

test('the page of a host tells what it sends, whom it meets, what it offers, and what is said of it', options, async () => {
    const server = (await json('/v1/hosts?order_by=PARTY_ORDER_PEERS&limit=1')).hosts[0].address;
    await show(`#/hosts?t=now-1h..now&host=${server}`);
    await page.waitForSelector('.figures');
    const told = (await json(`/v1/hosts?peer_of=${server}&limit=50&from=${Date.now() - 3_600_000}`));
    const figures = await page.locator('.figures').innerText();
    assert.match(figures, new RegExp(`Peers\\s+${told.self.peers}\\b`));
    await wait_for('a drawn chart', async () => (await colours_on(page, '.hp-chart canvas')) > 2);
    assert.equal(await panel('Peers').locator('tbody tr').count(), Math.min(50, told.found));
    await wait_for('its ports', async () => (await panel('Ports it serves').locator('tbody tr').count()) > 0);
    await wait_for('applications', async () => (await panel('Applications').locator('tbody tr').count()) > 0);
    assert.match(await panel('Ports it uses').innerText(), /opened no flow/);
    await shot('host');
    await panel('Ports it serves').locator('td.who a').first().click();
    await address(new RegExp(`flows\\?.*server\\.ip = "${server}" AND server\\.port = \\d+`));
    await page.goBack();
    await page.waitForSelector('.figures');
    await panel('Peers').locator('td.who a').first().click();
    await wait_for('the page of a peer', async () => (await page.locator('.crumbs b').innerText()) !== server);
});

test('alerts about a host stand on its page and in the list', options, async () => {
    await show(`#/hosts?t=now-1h..now&host=${SCANNER}`);
    await wait_for('its alerts', async () => (await panel('Alerts about it').locator('.ai').count()) >= 2);
    assert.match(await panel('Alerts about it').innerText(), /Port scan[\s\S]*from it/);
    await panel('Alerts about it').locator('.ai').first().click();
    await address(/alerts\?.*sel=/);
    await listed(`#/hosts?t=now-1h..now&q=${SCANNER}`);
    await wait_for('the mark', async () => (await rows().first().locator('.h-a a').innerText()).trim() === '2');
});

test('two hosts stand side by side', options, async () => {
    const [a, b] = (await json('/v1/hosts?limit=2')).hosts.map((p) => p.address);
    await show(`#/hosts?t=now-15m..now&host=${a}`);
    await page.waitForSelector('.figures');
    await page.keyboard.press('c');
    await page.keyboard.type(b);
    await page.keyboard.press('Enter');
    await address(new RegExp(`vs=${b}`));
    await wait_for('both', async () => (await page.locator('.figures thead th').count()) === 2 && !(await page.locator('.figures').innerText()).includes('–\n–'));
    await wait_for('both charts', async () => (await page.locator('.hp-chart canvas').count()) === 2);
    await shot('hosts-beside');
    await page.getByRole('button', { name: 'Show one host alone' }).click();
    await wait_for('one', async () => (await page.locator('.hp-chart').count()) === 1);
    await show(`#/hosts?t=now-15m..now&host=${a}&vs=203.0.113.77`);
    await wait_for('the other is not there', async () => /203\.0\.113\.77 has no flow/.test(await page.locator('.hp-fig').innerText().catch(() => '')));
});

test('what is not there, not understood, or no address is said, and the rest stays', options, async () => {
    await show('#/hosts?t=now-15m..now&host=203.0.113.77');
    await wait_for('nothing', async () => /203\.0\.113\.77 has no flow in this time/.test(await page.locator('.state.empty').innerText().catch(() => '')));
    await show('#/hosts?t=now-15m..now&f=server.port%20%3D%20');
    await wait_for('the filter', async () => /not understood/.test(await page.locator('.state').first().innerText().catch(() => '')));
    await show('#/hosts?t=now-15m..now&host=%3Cb%3E');
    await wait_for('no address', async () => /is no IPv4 or IPv6 address/.test(await page.locator('.state').first().innerText().catch(() => '')));
    faults.splice(0, faults.length, ...faults.filter((f) => !/400/.test(f)));
    const server = (await json('/v1/hosts?limit=1')).hosts[0].address;
    await page.route('**/v1/services*', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"too many queries wait; try again later","reason":"BUSY","request_id":"r-7"}' }));
    await show(`#/hosts?t=now-15m..now&host=${server}`);
    await wait_for('one panel failed', async () => /too many queries wait[\s\S]*r-7/.test(await panel('Ports it serves').innerText().catch(() => '')));
    await wait_for('the others live', async () => (await panel('Peers').locator('tbody tr').count()) > 0 && (await panel('Applications').locator('tbody tr').count()) > 0);
    await page.unroute('**/v1/services*');
    await panel('Ports it serves').getByRole('button', { name: 'Retry' }).click();
    await wait_for('well again', async () => /Port\b[\s\S]*Clients/.test(await panel('Ports it serves').innerText()) || /Nobody asked/.test(await panel('Ports it serves').innerText()));
    faults.splice(0, faults.length, ...faults.filter((f) => !/503/.test(f)));
});

test('an answer that met a bound says so', options, async () => {
    fake.control.truncated = true;
    await listed('#/hosts?t=now-15m..now');
    assert.match(await page.locator('.map-note').innerText(), /Not all of it: .*store\.query_time.*2 of 3 sensors are heard of now/s);
    assert.match(await page.locator('.ft').innerText(), /partial/);
    fake.control.truncated = false;
});

test('a slow answer shows that it is awaited', options, async () => {
    fake.control.slow_ms = 2500;
    await show('#/hosts?t=now-15m..now');
    await wait_for('a word', async () => /Looking for hosts/.test(await page.locator('.skeleton').innerText().catch(() => '')), 5000);
    fake.control.slow_ms = 0;
    await page.waitForSelector('.vr.hs');
});

test('names of strangers are shown as text, and no cell of the export can run', options, async () => {
    await listed('#/hosts?t=now-6h..now&q=example');
    const download = page.waitForEvent('download');
    await page.keyboard.press('e');
    const text = readFileSync(await (await download).path(), 'utf8');
    assert.match(text, /^address,port,/);
    assert.doesNotMatch(text, /(^|,)[=+@-][A-Za-z]/m);
    await page.fill('#host-search', 'onerror');
    await wait_for('it alone', async () => (await rows().count()) >= 1 && /onerror/.test(await rows().first().innerText()));
    assert.equal(await page.locator('.h-n img').count(), 0);
});

for (const theme of ['dark', 'light']) {
    for (const [name, hash] of [['services', '#/hosts?v=services'], ['host', `#/hosts?t=now-1h..now&host=${SCANNER}`], ['beside', `#/hosts?t=now-1h..now&host=${SCANNER}&vs=10.0.0.53`]]) {
        test(`${name} in ${theme} has no accessibility violation`, options, async () => {
            await show(hash, undefined, theme);
            await page.waitForSelector('.vr.hs, .figures');
            await page.waitForTimeout(1200);
            await page.evaluate(axe_source());
            const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
            assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`), []);
            await shot(`${name}-${theme}`);
        });
    }
}

test('a host fits a phone without scrolling sideways', options, async () => {
    for (const hash of [`#/hosts?t=now-1h..now&host=${SCANNER}`, '#/hosts?v=services']) {
        await show(hash, { width: 360, height: 740 });
        await page.waitForSelector('.vr.hs, .figures');
        await page.waitForTimeout(600);
        const wide = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, inner: innerWidth, main: document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth }));
        assert.ok(wide.page <= wide.inner && wide.main <= 0, JSON.stringify(wide));
        assert.deepEqual(await cut_off(page), []);
        await shot(hash.includes('host=') ? 'host-phone' : 'services-phone');
    }
});

test('a lost collector is told, the list stays', options, async () => {
    await listed('#/hosts?t=now-15m..now');
    fake.control.refuse = true;
    fake.lose_clients();
    await page.waitForSelector('.shell.lost .note');
    assert.ok((await rows().count()) > 0);
    fake.control.refuse = false;
    await wait_for('it is back', () => page.locator('.live:has-text("Live")').count(), 30_000);
    faults.splice(0, faults.length, ...faults.filter((f) => !/WebSocket|403/.test(f)));
});

test('nothing went wrong on the way', options, () => {
    assert.deepEqual(faults, []);
});
