// Questions about what the collector keeps no more: answered from the real engine as they were from its own store, and
// clear answers where the engine is away, slow, or set up otherwise.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Session } from 'chdb';
import { Collector, freePort } from './collector.mjs';
import { Front } from './front.mjs';
import { BIN, runSensor, statements, until } from './tools.mjs';

const FLOWS = 4000;
const BEGIN_MS = 1700000000000; // of every capture of netscope-traffic
const FROM = BEGIN_MS - 60000;
const TO = BEGIN_MS + 3600000;
const RANGE = `from=${FROM}&to=${TO}`;
const TIMES = `from=${new Date(FROM).toISOString()}&to=${new Date(TO).toISOString()}`;
const OURS = 'sensor IN (one, two)';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'netscope-past-'));
let session;
let front;
let collector;
const number = (text) => Number(String(session.query(text, 'TabSeparated')).trim());

// What is asked, of the whole fleet and of a part of it. {filter} is replaced.
const QUESTIONS = [
    `/v1/flows?${RANGE}&page_size=500&filter={filter}`,
    `/v1/flows?${RANGE}&page_size=1000&dedup=ALL&order_by=bytes%20desc&filter={filter}`,
    `/v1/facets?${RANGE}&filter={filter}`,
    `/v1/fleet/flows:query?${TIMES}&page_size=1000&filter={filter}`,
    `/v1/fleet/flows:query?${TIMES}&page_size=1000&dedup=DEDUP_ALL&filter={filter}`,
    `/v1/query:aggregate?${TIMES}&group_by=application&group_by=sensor&step=60s&limit=200&filter={filter}`,
    `/v1/query:aggregate?${TIMES}&group_by=server&dedup=DEDUP_ALL&limit=1000&filter={filter}`,
    `/v1/hosts?${TIMES}&limit=1000&filter={filter}`,
    `/v1/services?${TIMES}&limit=1000&filter={filter}`,
    `/v1/map?${TIMES}&filter={filter}`,
    `/v1/timeseries?${RANGE}&step=60000&filter={filter}`,
];
const FILTERS = [OURS, `${OURS} AND server.port = 443`, `${OURS} AND NOT (app = dns OR client.ip = 10.0.0.0/9)`];

const questions = () => FILTERS.flatMap((filter) => QUESTIONS.map((text) => text.replace('{filter}', encodeURIComponent(filter))));

// Without what is of the moment, and without who is connected now.
function comparable(text) {
    return JSON.parse(text, (key, value) =>
        ['took', 'took_ms', 'coverage', 'scanned', 'past', 'now_ms', 'next_page_token', 'next'].includes(key) ? undefined : value);
}

async function answers() {
    const all = {};
    for (const question of questions()) {
        const text = await collector.page(question);
        assert.notEqual(text, '', `${question}: ${collector.text}`);
        all[question] = comparable(text);
    }
    return all;
}

const past = async (question) => JSON.parse(await collector.page(question)).coverage.past;

before(async () => {
    fs.writeFileSync(path.join(folder, 'password'), 'sesame\n', { mode: 0o600 });
    process.chdir(folder);
    session = new Session(path.join(folder, 'db'));
    for (const text of statements('01_flows.sql')) {
        session.query(text);
    }
    session.query('ALTER TABLE netscope.flows REMOVE TTL'); // the capture is old
    front = new Front(session, folder);
    collector = new Collector(folder, { http: await freePort(), ingest: await freePort() }, {
        CLICKHOUSE__URL: `http://127.0.0.1:${await front.listen()}`,
        CLICKHOUSE__BATCH_INTERVAL: '200ms',
        CLICKHOUSE__QUERY_USER: 'reader',
        CLICKHOUSE__QUERY_PASSWORD_FILE: path.join(folder, 'password'),
        CLICKHOUSE__QUERY_TIMEOUT: '3s',
        STORE__RETENTION: '168h',
    });
    await collector.start();
    for (const [name, flows] of [['mix', FLOWS], ['one', 1]]) {
        const made = spawnSync(path.join(BIN, 'netscope-traffic'), ['mix', path.join(folder, `${name}.pcap`), '-f', String(flows)], { encoding: 'utf8' });
        assert.equal(made.status, 0, made.stderr);
    }
});

after(async () => {
    await collector?.kill();
    front?.close();
    session?.cleanup();
    process.chdir(os.tmpdir());
    fs.rmSync(folder, { recursive: true, force: true });
});

const feed = (sensor, capture) =>
    runSensor({ NETSCOPE_SPOOL__DIRECTORY: 'memory' }, '--read-pcap', path.join(folder, `${capture}.pcap`), '--quiet', '--lossless',
        '--sensor-id', sensor, '--collector', `127.0.0.1:${collector.ports.ingest}`);

// As if ten days had gone by since the records came.
function age() {
    const store = path.join(folder, 'store/history');
    const older = (day) => new Date(Date.parse(day) - 10 * 86400000).toISOString().slice(0, 10);
    for (const name of fs.readdirSync(store).filter((one) => one.startsWith('day-'))) {
        fs.renameSync(path.join(store, name), path.join(store, name.replace(/\d{4}-\d\d-\d\d/, older)));
    }
}

let own; // the answers of the collector's store
const ownFlows = {}; // and of single flows

test('after the days have gone, every question is answered as before, out of ClickHouse', async () => {
    // One after the other: records of one time stand in the order in which they were stored, which is that of the table's only then.
    for (const [at, sensor] of ['one', 'two'].entries()) {
        await feed(sensor, 'mix');
        await until('all is stored and in ClickHouse', async () => (await collector.metric('clickhouse_waiting{stream="flows"}')) === 0 && (await collector.metric('ingest_backlog_bytes')) === 0 &&
            number('SELECT uniqExact(sensor_id) FROM netscope.flows') === at + 1 && Number((await past(`/v1/hosts?${TIMES}`)).records) === 0);
    }
    // What was asked of the engine while the last records were on their way to the store is forgotten.
    assert.equal(await collector.stop(), 0);
    await collector.start();
    own = await answers();
    for (const { flow_id, identity } of Object.values(own)[1].flows.slice(0, 3).map((flow) => ({ flow_id: flow.flow_id, identity: flow.sensor_id }))) {
        for (const question of [`/v1/flows/${flow_id}?sensor_id=${identity}`, `/v1/fleet/flows/${flow_id}`]) {
            ownFlows[question] = comparable(await collector.page(question));
        }
    }
    assert.equal(number("SELECT countIf(empty(record)) FROM netscope.flows"), 0);
    assert.ok(Object.values(own).every((answer) => JSON.stringify(answer).length > 300), 'each question has an answer of some size');

    assert.equal(await collector.stop(), 0);
    age();
    await collector.start();
    await feed('three', 'one');
    await until('the old day has gone', () => fs.readdirSync(path.join(folder, 'store/history')).filter((name) => /^day-.*\.db$/.test(name)).length === 1);
    const later = await answers();
    for (const [question, answer] of Object.entries(own)) {
        assert.deepEqual(later[question], answer, decodeURIComponent(question));
    }
    assert.ok(front.selects.length >= 2);
    assert.ok(front.users.has('reader:sesame'), [...front.users].join());
    // Only what may match is asked for.
    assert.ok(front.selects.some((text) => text.includes('server_port = 443')));
    for (const [question, answer] of Object.entries(ownFlows)) {
        assert.deepEqual(comparable(await collector.page(question)), answer, question);
    }
    const told = await past(`/v1/hosts?${TIMES}&filter=${encodeURIComponent(OURS)}`);
    assert.equal(Number(told.records), number("SELECT count() FROM netscope.flows FINAL WHERE sensor_id IN ('one', 'two')"));
    assert.equal(told.reason ?? '', '');
});

test('rows that are there twice count once', async () => {
    session.query('SYSTEM STOP MERGES netscope.flows');
    session.query("INSERT INTO netscope.flows SELECT * FROM netscope.flows WHERE record_seq % 3 = 0 SETTINGS insert_deduplicate = 0");
    await collector.stop(); // what it has fetched is forgotten
    await collector.start();
    assert.ok(number('SELECT count() FROM netscope.flows') > number('SELECT count() FROM netscope.flows FINAL'));
    const later = await answers();
    session.query('SYSTEM START MERGES netscope.flows');
    for (const [question, answer] of Object.entries(own)) {
        assert.deepEqual(later[question], answer, decodeURIComponent(question));
    }
});

// What the own store has, whatever the time of day: its files begin with a day.
const kept = () => {
    const begin = Date.parse(new Date().toISOString().slice(0, 10)) + 60000;
    return `from=${new Date(begin).toISOString()}&to=${new Date(begin + 86400000).toISOString()}`;
};

// A range of its own each time, so that nothing fetched before serves.
let ranges = 0;
const fresh = () => `/v1/query:aggregate?from=${new Date(FROM - 86400000 * ++ranges).toISOString()}&to=${new Date(TO).toISOString()}&group_by=sensor`;

for (const [mood, says] of [['down', /503/], ['cut', /./], ['words', /no list of records|within a record|list of counts/], ['deaf', /time|slow/i]]) {
    test(`an engine that is ${mood} leaves a partial answer that says so, and local questions are not kept waiting`, async () => {
        await collector.stop();
        await collector.start();
        front.mood = mood;
        const begin = Date.now();
        const question = fresh();
        const asked = collector.page(question);
        // Meanwhile what is here is answered at once.
        const now = await collector.page(`/v1/query:aggregate?${kept()}&group_by=sensor`);
        const took = Date.now() - begin;
        assert.notEqual(now, '');
        assert.ok(took < 2000, `a question to the own store took ${took} ms`);
        const answer = JSON.parse(await asked);
        assert.ok(Date.now() - begin < 10000);
        assert.equal(answer.truncated, true);
        assert.match(answer.truncated_reason, /ClickHouse was asked for older records/);
        assert.match(answer.coverage.past.reason, says);
        assert.equal(answer.coverage.complete ?? false, false);
        assert.equal(Number(answer.coverage.past.records ?? 0), 0);
        const during = JSON.parse(await collector.page('/v1/status')).clickhouse;
        assert.equal(during.questions_failing, true);
        assert.match(during.questions_reason, says);
        front.mood = 'well';
        await until('it is asked again', async () => Number((await past(fresh())).records) > 0);
        const later = JSON.parse(await collector.page('/v1/status')).clickhouse;
        assert.equal(later.questions_failing ?? false, false);
        assert.equal(later.waiting_known, true);
    });
}

test('an orderly end does not wait for an engine that does not answer', async () => {
    front.mood = 'deaf';
    const asked = collector.page(fresh());
    await until('it is being asked', () => front.selects.length > 0);
    const begin = Date.now();
    await collector.stop();
    assert.ok(Date.now() - begin < 8000, `${Date.now() - begin} ms`);
    await asked;
    front.mood = 'well';
    await collector.start();
});

test('a bound of rows leaves the newest and says from when on', async () => {
    await collector.stop();
    collector.settings.CLICKHOUSE__QUERY_ROWS = '3000';
    await collector.start();
    const answer = JSON.parse(await collector.page(`/v1/query:aggregate?${TIMES}&group_by=sensor`));
    const { past: told } = answer.coverage;
    assert.equal(answer.truncated, true);
    assert.match(told.reason, /clickhouse\.query_rows/);
    assert.ok(Number(told.records) > 0 && Number(told.records) <= 3000, told.records);
    const from = new Date(told.complete_from_time);
    const held = number(`SELECT count() FROM netscope.flows FINAL WHERE sensor_id IN ('one', 'two') AND end_time >= fromUnixTimestamp64Milli(${from.getTime()})`);
    assert.equal(Number(told.records), held);
    delete collector.settings.CLICKHOUSE__QUERY_ROWS;
});

test('a table without the column, or rows without a record, are told', async () => {
    await collector.stop();
    session.query("ALTER TABLE netscope.flows UPDATE record = '' WHERE sensor_id = 'two' SETTINGS mutations_sync = 2");
    await collector.start();
    const half = await past(fresh());
    assert.match(half.reason, /records in ClickHouse cannot be read/);
    assert.ok(Number(half.records) > 0);
    session.query('ALTER TABLE netscope.flows DROP COLUMN record SETTINGS mutations_sync = 2');
    const none = await past(fresh());
    assert.match(none.reason, /needs the column record: run deploy\/clickhouse\/01_flows\.sql/);
});
