/* Alerts acknowledged and silenced in a browser, against a fake collector of its own: the keys, the dialogs, what is hidden.
 *
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/triage.test.mjs */
import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
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

/* What one test says of alerts is not known to the next. */
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

async function show(hash = '#/alerts', theme = 'dark') {
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.addInitScript((t) => location.protocol.startsWith('http') && localStorage.setItem('netscope.theme', t), theme);
    await page.goto(`${fake.url}/${hash}`);
    await wait_for('the connection', () => page.locator('.live:has-text("Live")').count());
    if (hash.startsWith('#/alerts')) {
        await page.waitForSelector('.al-row');
        /* its keys are there after the first paint */
        await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100))));
    }
}

/* The next row, once its detail is there. */
async function next_row() {
    const before = page.url();
    await page.keyboard.press('j');
    await wait_for('another row', () => page.url() !== before);
    await page.waitForSelector('.dr .kv');
}

const rows = () => page.locator('.al-row').count();
const rail = async () => Number((await page.locator('.rail .n').count()) ? await page.locator('.rail .n').innerText() : 0);
const hidden = async () => ((await page.locator('.chip:has-text("hidden")').count()) ? Number(await page.locator('.chip:has-text("hidden") b').innerText()) : 0);
const dialog = () => page.locator('dialog.say');

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

test('each line says when it was, and an alert what its traffic did around it', options, async () => {
    await page.goto(`${fake.url}/#/alerts?t=now-1h..now`);
    const scan = page.locator('.al-row').filter({ hasText: 'Port scan' });
    await scan.locator('.when i').first().waitFor();
    const [bar, strip] = [await scan.locator('.when i').first().boundingBox(), await scan.locator('.when').boundingBox()];
    assert.ok(bar.x > strip.x + strip.width / 2 && bar.x + bar.width <= strip.x + strip.width + 1, JSON.stringify({ bar, strip })); /* some minutes ago, of an hour */
    await scan.locator('.a-t').click();
    await page.locator('.dr .around .spark-line').waitFor();
    assert.match(await page.locator('.dr .around').innerText(), /Its traffic, around it\s+peak [\d.]+( .)? new flows\/s/);
    await page.locator('.al-row').filter({ hasText: 'Sensor losing packets' }).locator('.a-t').click();
    await wait_for('its loss', async () => /Its loss, around it/.test(await page.locator('.dr .around').innerText().catch(() => '')));
});

test('a acknowledges the open row: it is hidden, counted, found again with who and why, and taken back', options, async () => {
    await show();
    const before_rows = await rows();
    const before_open = await rail();
    await next_row();
    await page.keyboard.press('a');
    await dialog().waitFor();
    await page.keyboard.type('our scanner, ask ada'); /* a, s, k are letters here */
    await page.keyboard.press('Enter');
    await wait_for('the dialog to close', async () => (await dialog().count()) === 0);
    await page.keyboard.press('Escape');
    await wait_for('one row less', async () => (await rows()) === before_rows - 1);
    assert.equal(await hidden(), 1);
    await wait_for('one open alert less', async () => (await rail()) === before_open - 1);
    /* the other page that looks at the same collector hears of it by the live feed */
    const { page: other } = await watched_page(browser.context, fake.url);
    await other.goto(`${fake.url}/#/overview`);
    await wait_for('what is hidden on the overview', () => other.locator('.p-alerts :text("1 hidden")').count());
    assert.match(await other.locator('.sit p').innerText(), /1 acknowledged or silenced/);
    await page.keyboard.press('h');
    await wait_for('all rows', async () => (await rows()) === before_rows);
    const seen = page.locator('.al-row.seen');
    assert.match(await seen.innerText(), /seen by ada/);
    await seen.click();
    await wait_for('who and why', async () => /by ada.*our scanner, ask ada/s.test(await page.locator('.dr').innerText()));
    await shot('alerts-acknowledged');
    await page.keyboard.press('a');
    await wait_for('nothing acknowledged', async () => (await page.locator('.al-row.seen').count()) === 0);
    await wait_for('the overview of the other page', async () => (await other.locator('.p-alerts .sub :text("hidden")').count()) === 0);
    await other.close();
    assert.deepEqual(faults, []);
});

test('s silences: a reason is needed, the preview counts, the list ends it', options, async () => {
    await show();
    const before_rows = await rows();
    await next_row();
    await page.keyboard.press('s');
    await dialog().waitFor();
    await wait_for('the preview', async () => /Hides 1 of 6 in the last 24 h/.test(await dialog().innerText()));
    const silence = dialog().getByRole('button', { name: 'Silence', exact: true });
    assert.equal(await silence.isDisabled(), true);
    await page.keyboard.type('known');
    await dialog().getByText('whatever it is').click();
    await wait_for('another preview', async () => /Hides 2 of 6/.test(await dialog().innerText()));
    await dialog().getByText('other', { exact: true }).click();
    await dialog().locator('input.short').fill('soon');
    assert.equal(await silence.isDisabled(), true);
    await dialog().locator('input.short').fill('36h');
    await silence.click();
    await wait_for('the dialog to close', async () => (await dialog().count()) === 0);
    await page.keyboard.press('Escape');
    await wait_for('two rows less', async () => (await rows()) === before_rows - 2);
    assert.equal(await hidden(), 2);
    await page.getByRole('button', { name: 'Silences' }).click();
    await wait_for('the list', async () => /10\.3\.7\.41[\s\S]*known[\s\S]*ada/.test(await dialog().innerText()));
    await shot('alerts-silences');
    await dialog().getByRole('button', { name: 'End it' }).click();
    await wait_for('its end', async () => /ended by ada/.test(await dialog().innerText()));
    await dialog().getByRole('button', { name: 'Close' }).click();
    await wait_for('all rows', async () => (await rows()) === before_rows);
    assert.deepEqual(faults, []);
});

test('marked rows are acknowledged together', options, async () => {
    await show();
    const before_rows = await rows();
    for (let i = 0; i < 3; i++) {
        await next_row();
        await page.keyboard.press('x');
    }
    await page.locator('.al-row input[type=checkbox]').nth(2).click(); /* one of them not, after all */
    await wait_for('two marked', async () => /2 marked rows/.test(await page.locator('.bulk').innerText()));
    await page.locator('.bulk').getByRole('button', { name: 'Acknowledge' }).click();
    assert.match(await dialog().innerText(), /Acknowledge 2 alerts/);
    await page.keyboard.press('Enter');
    await wait_for('the dialog to close', async () => (await dialog().count()) === 0);
    await page.keyboard.press('Escape');
    await wait_for('two rows less', async () => (await rows()) === before_rows - 2);
    assert.equal(await page.locator('.bulk').count(), 0);
    assert.deepEqual(faults, []);
});

test('the marks of the chart follow what the list of alerts shows', options, async () => {
    /* several at one place are one mark with their number in its title */
    const marks = () => page.evaluate(() => [...document.querySelectorAll('.p-chart .marker')].reduce((sum, m) => sum + 1 + Number(/ and (\d+) more$/.exec(m.title)?.[1] ?? 0), 0));
    await show('#/overview');
    await wait_for('marks', async () => (await marks()) > 1);
    const before = await marks();
    const target = await page.locator('.p-chart .marker').first().getAttribute('href');
    const id = new URLSearchParams(target.split('?')[1]).get('sel');
    await page.evaluate((alert) => fetch('/v1/alerts:acknowledge', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-NetScope': '1' }, body: JSON.stringify({ alert_ids: [alert] }) }), id);
    await wait_for('one mark less', async () => (await marks()) === before - 1);
    await shot('overview-marks');
    await page.goto(`${fake.url}/#/overview?hidden=1`);
    await wait_for('all marks', async () => (await marks()) === before);
    await page.goto(`${fake.url}/#/overview`);
    await wait_for('one mark less again', async () => (await marks()) === before - 1);
    assert.deepEqual(faults, []);
});

test('what the collector refuses is said in the dialog, and nothing changes', options, async () => {
    await show();
    const before_rows = await rows();
    await page.route('**/v1/alerts:acknowledge', (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"detail":"triage.sqlite3: disk full (free space)","reason":"NOT_KEPT"}' }));
    await next_row();
    await page.keyboard.press('a');
    await dialog().waitFor();
    await page.keyboard.press('Enter');
    await wait_for('the reason', async () => /disk full/.test(await dialog().innerText()));
    await page.keyboard.press('Escape');
    await wait_for('the dialog to close', async () => (await dialog().count()) === 0);
    assert.equal(await rows(), before_rows);
});

for (const theme of ['dark', 'light']) {
    test(`the dialogs in ${theme} have no accessibility violation`, options, async () => {
        await show('#/alerts', theme);
        await next_row();
        await page.keyboard.press('x');
        for (const [key, name] of [['s', 'silence'], ['a', 'acknowledge']]) {
            await page.keyboard.press(key);
            await dialog().waitFor();
            await page.waitForTimeout(400);
            await page.evaluate(axe_source());
            const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
            assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary}`).join(' | ')}`), []);
            await shot(`alerts-${name}-${theme}`);
            await page.keyboard.press('Escape');
            await wait_for('the dialog to close', async () => (await dialog().count()) === 0);
        }
    });
}

test('the dialogs fit a phone', options, async () => {
    await show();
    await next_row();
    await page.keyboard.press('s');
    await page.setViewportSize({ width: 360, height: 740 });
    await page.waitForTimeout(300);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth));
    await shot('alerts-silence-phone');
});
