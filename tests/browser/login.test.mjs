/* The login of the dashboard and what a role sees of it, against a fake collector of its own with users.
 *
 *   NETSCOPE_LOGIN_URL          a real collector whose user vera is a viewer, by the password NETSCOPE_LOGIN_PASSWORD
 *   NETSCOPE_SCREENSHOT_DIR     where screenshots go; none are taken without it
 *
 * node --test tests/browser/login.test.mjs */
import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { join } from 'node:path';
import { axe_source, chromium_path, has_browser, screenshot_folder, start_browser, start_fake, wait_for, watched_page } from './browser.mjs';

const options = has_browser ? {} : { skip: `no browser at ${chromium_path}` };
const users = { vera: { password: 'vera looks', role: 'viewer' }, otto: { password: 'otto works', role: 'operator' }, lena: { password: 'locked', role: 'admin' } };
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
        fake = await start_fake({ users });
        await browser.context.clearCookies();
        ({ page, faults } = await watched_page(browser.context, fake.url));
        await page.setViewportSize({ width: 1440, height: 900 });
    }
});

afterEach(async () => {
    await page?.close();
    await fake?.close();
});

async function open(hash = '#/overview') {
    await page.goto(`${fake.url}/${hash}`);
    await page.waitForSelector('.login form');
}

async function log_in(name, password = users[name].password) {
    await page.getByLabel('Name').fill(name);
    await page.getByLabel('Password').fill(password);
    await page.keyboard.press('Enter');
}

const connected = () => wait_for('the connection', () => page.locator('.live:has-text("Live")').count());
const menu = () => page.locator('.who-am-i');

async function shot(name) {
    if (screenshot_folder()) {
        await page.screenshot({ path: join(screenshot_folder(), `${name}.png`) });
    }
}

async function check_axe(what) {
    await page.evaluate(axe_source());
    const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], what);
}

test('without a login there is its page alone, and nothing else is asked', options, async () => {
    await open('#/alerts');
    assert.equal(await page.title(), 'Log in · NetScope');
    assert.equal(await page.locator('.rail').count(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.name), 'username');
    assert.deepEqual(fake.control.requests.filter((path) => path.startsWith('/v1/')), ['/v1/session']);
    assert.equal(fake.control.connections, 0);
    await page.evaluate(() => (document.documentElement.dataset.theme = 'dark'));
    await check_axe('the login');
    await shot('login-dark');
    await page.evaluate(() => (document.documentElement.dataset.theme = 'light'));
    await shot('login-light');
    await page.setViewportSize({ width: 390, height: 844 });
    await shot('login-phone');
    assert.deepEqual(faults, []);
});

test('a wrong password is told, and the right one opens what the address says', options, async () => {
    await open('#/alerts');
    await log_in('otto', 'guess');
    await wait_for('why not', async () => /no such user, or another password/.test(await page.locator('.login [role=alert]').innerText()));
    assert.equal(await page.getByLabel('Password').inputValue(), '');
    assert.equal(await page.evaluate(() => document.activeElement.name), 'password');
    await log_in('lena', 'whatever');
    await wait_for('slowed', async () => /too many logins/.test(await page.locator('.login [role=alert]').innerText()));
    await shot('login-refused');
    await log_in('otto');
    await connected();
    await page.waitForSelector('.al-row');
    assert.deepEqual(faults.filter((f) => !/40[01]|429/.test(f)), []);
});

test('an operator sees who they are, may acknowledge, and logs out', options, async () => {
    await open('#/alerts');
    await log_in('otto');
    await connected();
    await page.waitForSelector('.al-row');
    await page.locator('.al-row').first().click();
    await page.waitForSelector('.dr .kv');
    assert.equal(await page.getByRole('button', { name: 'Acknowledge' }).count(), 1);
    assert.equal(await page.locator('.why-not').count(), 0);
    assert.equal(await page.locator('.rail a:has-text("Packets")').count(), 1);
    await menu().click();
    assert.match(await page.locator('.menu .who').innerText(), /otto\s+operator/);
    assert.equal(await page.locator('.menu .may .no').count(), 1);
    await check_axe('the menu of the user');
    await shot('user-menu');
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.waitForSelector('.login form');
    assert.equal(await page.locator('.rail').count(), 0);
    await page.reload();
    await page.waitForSelector('.login form');
});

test('a viewer is told what is not theirs', options, async () => {
    await open('#/alerts');
    await log_in('vera');
    await connected();
    await page.waitForSelector('.al-row');
    await page.locator('.al-row').first().click();
    await page.waitForSelector('.dr .kv');
    assert.equal(await page.getByRole('button', { name: 'Acknowledge' }).count(), 0);
    assert.equal(await page.getByRole('button', { name: 'Silence', exact: true }).count(), 0);
    assert.match(await page.locator('.why-not').first().innerText(), /Acknowledging and silencing need the role operator; you are viewer/);
    await page.keyboard.press('a'); /* nor by its key */
    assert.equal(await page.locator('dialog.say').count(), 0);
    assert.equal(await page.locator('.rail a:has-text("Packets")').count(), 0);
    await shot('viewer-alert');
    await page.goto(`${fake.url}/#/packets`);
    await wait_for('why not', async () => /packets needs the role operator/.test(await page.locator('main').innerText()));
    await shot('viewer-packets');
    await page.setViewportSize({ width: 390, height: 844 });
    await menu().click();
    await shot('viewer-phone');
    assert.equal(fake.control.requests.filter((path) => path.startsWith('/v1/packets')).length, 0);
    assert.deepEqual(faults, []);
});

test('when the login is over the page asks for it again, and comes back to the same view', options, async () => {
    await open('#/flows?t=now-5m..now');
    await log_in('otto');
    await connected();
    fake.control.access.end('otto');
    await page.waitForSelector('.login form');
    await log_in('otto');
    await connected();
    assert.match(page.url(), /#\/flows\?t=now-5m..now/);
});

test('where there is no login there is no user either', options, async () => {
    const open_fake = await start_fake();
    await page.goto(`${open_fake.url}/#/overview`);
    await connected();
    assert.equal(await menu().count(), 0);
    assert.equal(await page.locator('.rail a:has-text("Packets")').count(), 1);
    await open_fake.close();
});

const real = process.env.NETSCOPE_LOGIN_URL;
test('a real collector lets its viewer in and out', !has_browser || real ? options : { skip: 'NETSCOPE_LOGIN_URL is not set' }, async () => {
    const { page: own, faults: found } = await watched_page(browser.context, real);
    await own.goto(`${real}/#/sensors`);
    await own.waitForSelector('.login form');
    await own.getByLabel('Name').fill('vera');
    await own.getByLabel('Password').fill('not this one');
    await own.keyboard.press('Enter');
    await wait_for('why not', async () => /no such user, or another password/.test(await own.locator('.login [role=alert]').innerText()));
    await own.getByLabel('Password').fill(process.env.NETSCOPE_LOGIN_PASSWORD);
    await own.keyboard.press('Enter');
    await wait_for('the connection', () => own.locator('.live:has-text("Live")').count());
    assert.equal(await own.locator('.rail a:has-text("Packets")').count(), 0);
    assert.equal(await own.evaluate(() => document.cookie), ''); /* no script reads it */
    await own.locator('.who-am-i').click();
    assert.match(await own.locator('.menu .who').innerText(), /vera\s+viewer/);
    await own.getByRole('button', { name: 'Log out' }).click();
    await own.waitForSelector('.login form');
    assert.deepEqual(found.filter((f) => !/401/.test(f)), []);
    await own.close();
});
