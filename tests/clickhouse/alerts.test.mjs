// Alerts, statistics and DNS transactions in the real engine, by the collector: deploy/clickhouse/04_alerts_stats.sql as it
// is shipped takes them, and says what the sensor's own files say, although answers get lost and a table is made later.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Session } from 'chdb';
import { Collector, freePort } from './collector.mjs';
import { Front } from './front.mjs';
import { BIN, queries, runSensor, statements, until } from './tools.mjs';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'netscope-alerts-'));
const FILE = '04_alerts_stats.sql';
let session;
let front;
let collector;
let alerts; // of the sensor's files
let transactions;
let said; // its summary

const ask = (text) =>
    String(session.query(text, 'JSONEachRow')).split('\n').filter(Boolean).map((line) => JSON.parse(line));
const one = (text) => Object.values(ask(text)[0])[0];
const jsonl = (name) => fs.readFileSync(path.join(folder, name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const address = (text) => (text.startsWith('::ffff:') ? text.slice(7) : text);
const metric = (name, stream) => collector.metric(`clickhouse_${name}{stream="${stream}"}`);

// As shipped, but for the time that rows are kept: the capture is old.
function makeTables() {
    for (const text of statements(FILE)) {
        session.query(text.replace(/^TTL .*$/m, ''));
    }
}

before(async () => {
    process.chdir(folder);
    session = new Session(path.join(folder, 'db'));
    for (const text of statements('01_flows.sql')) {
        session.query(text);
    }
    session.query('ALTER TABLE netscope.flows REMOVE TTL');
    front = new Front(session, folder);
    collector = new Collector(folder, { http: await freePort(), ingest: await freePort() }, {
        CLICKHOUSE__URL: `http://127.0.0.1:${await front.listen()}`,
        CLICKHOUSE__ALERTS_TABLE: 'alerts',
        CLICKHOUSE__STATS_TABLE: 'stats',
        CLICKHOUSE__DNS_TABLE: 'dns',
        CLICKHOUSE__BATCH_INTERVAL: '200ms',
        FLEET__SILENT_ALERTS: 'false',
    });
    await collector.start();
    const capture = path.join(folder, 'demo.pcap');
    const made = spawnSync(path.join(BIN, 'netscope-traffic'), ['demo', capture], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    said = await runSensor({ NETSCOPE_SPOOL__DIRECTORY: 'memory', NETSCOPE_NETWORKS__LABELS: '10.0.0.0/8 site=hq' }, '--read-pcap', capture, '--quiet',
        '--lossless', '--sensor-id', 'edge', '--collector', `127.0.0.1:${collector.ports.ingest}`, '--alerts-jsonl', path.join(folder, 'alerts.jsonl'),
        '--dns-jsonl', path.join(folder, 'dns.jsonl'));
    alerts = jsonl('alerts.jsonl');
    transactions = jsonl('dns.jsonl');
});

after(async () => {
    await collector?.kill();
    front?.close();
    session?.cleanup();
    process.chdir(os.tmpdir());
    fs.rmSync(folder, { recursive: true, force: true });
});

test('every statement runs as it is shipped, twice', () => {
    for (const text of [...statements(FILE), ...statements(FILE)]) {
        session.query(text.replaceAll(/\bnetscope\b/g, 'shipped'));
    }
    assert.equal(Number(one("SELECT count() FROM system.tables WHERE database = 'shipped' AND create_table_query LIKE '% TTL %'")), 3);
});

test('rows wait until their tables are made; flows do not wait for them', async () => {
    await until('flows are written', async () => (await metric('waiting', 'flows')) === 0 && Number(one('SELECT count() FROM netscope.flows')) > 0);
    for (const stream of ['alerts', 'stats', 'dns']) {
        await until(`${stream} wait`, async () => (await metric('up', stream)) === 0 && (await metric('waiting', stream)) > 0);
    }
    assert.ok((await metric('waiting', 'alerts')) >= alerts.length);
    makeTables();
    front.trouble = ['deaf', 'down', 'cut', 'deaf'];
    for (const stream of ['alerts', 'stats', 'dns']) {
        await until(`${stream} are written`, async () => ((await metric('waiting', stream)) === 0 && (await metric('up', stream)) === 1) || collector.text);
    }
    assert.equal(front.trouble.length, 0);
});

test("each alert record is a row with the sensor's own words", () => {
    assert.ok(alerts.length >= 6);
    const rows = ask("SELECT * EXCEPT record, toUnixTimestamp64Nano(last_time) AS last, length(record) AS bytes FROM netscope.alerts WHERE sensor_id = 'edge' ORDER BY record_seq");
    assert.equal(rows.length, alerts.length);
    for (const [at, row] of rows.entries()) {
        const alert = alerts[at];
        assert.equal(Number(row.record_seq), at + 1);
        for (const name of ['alert_id', 'alert_key', 'state', 'severity', 'description', 'observed', 'threshold', 'unit', 'config_key']) {
            assert.equal(row[name], alert[name], name);
        }
        assert.equal(row.kind, alert.detail);
        assert.equal(row.scope, 'sensor');
        assert.deepEqual(row.attackers_ip.map(address), alert.attackers);
        assert.deepEqual(row.victims_ip.map(address), alert.victims);
        assert.deepEqual(row.evidence_community_ids, alert.community_ids);
        assert.equal(row.evidence_top_ports_key.length, row.evidence_top_ports_count.length);
        assert.equal(row.mitre_technique_id.length, row.mitre_tactic_id.length);
        assert.ok(row.mitre_technique_id.every((id) => /^T\d{4}/.test(id)));
        assert.equal(Math.round(Number(row.last) / 1000), Math.round(alert.last_seen * 1e6));
        assert.equal(row.close_reason === '', row.state !== 'close');
        assert.ok(Number(row.bytes) > 100);
    }
    // An incident is one, in its last state.
    const incidents = ask("SELECT alert_id, state FROM netscope.incidents WHERE sensor_id = 'edge'");
    assert.deepEqual(new Set(incidents.map((row) => row.alert_id)), new Set(alerts.map((alert) => alert.alert_id)));
    assert.equal(incidents.length, new Set(alerts.map((alert) => alert.alert_id)).size);
    assert.ok(incidents.every((row) => row.state === 'close'));
});

test('seconds add up to the packets of the capture, and their lists stay side by side', () => {
    const of = (what) => one(`SELECT ${what} FROM netscope.stats WHERE sensor_id = 'edge'`);
    assert.equal(Number(of('sum(totals_packets)')), Number(/packets captured: (\d+)/.exec(said)[1]));
    assert.equal(Number(of('sum(totals_bytes)')), Number(/\((\d+) bytes\)/.exec(said)[1]));
    assert.equal(Number(of('count()')), Number(of('uniqExact(record_seq)')));
    assert.equal(Number(of('countIf(end_time <= start_time)')), 0);
    const lists = ['items_key', 'items_bytes_in', 'items_bytes_out', 'items_packets'].map((name) => `arrayMap(x -> length(x), top_${name})`);
    assert.equal(Number(of(`countIf(NOT (${lists[0]} = ${lists[1]} AND ${lists[1]} = ${lists[2]} AND ${lists[2]} = ${lists[3]}) OR length(top_items_key) != length(top_dimension))`)), 0);
    assert.ok(Number(of('max(length(top_dimension))')) >= 4);
    // The ledger of each second closes: in = out + lost + held.
    assert.equal(Number(of('sum(arraySum((i, o, h, l) -> i != o + h + arraySum(l), ledger_in, ledger_out, ledger_held, ledger_lost_count))')), 0);
    assert.ok(Number(of('max(length(ledger_stage))')) > 3);
    // All bytes by application are all bytes.
    const byApplication = "arraySum(arrayFilter((v, d) -> d = 'application', arrayMap((i, o) -> arraySum(i) + arraySum(o), top_items_bytes_in, top_items_bytes_out), top_dimension))";
    assert.equal(Number(of(`countIf(${byApplication} > totals_bytes)`)), 0);
    assert.ok(Number(of(`sum(${byApplication})`)) > 0);
});

test('each DNS transaction is a row', () => {
    assert.ok(transactions.length > 500);
    const rows = ask('SELECT *, lower(hex(flow_id)) AS id FROM netscope.dns ORDER BY record_seq');
    assert.equal(rows.length, transactions.length);
    const bySequence = new Map(transactions.map((record) => [String(record.record_seq), record]));
    for (const row of rows) {
        const record = bySequence.get(String(row.record_seq));
        assert.equal(row.name, record.name);
        assert.equal(row.type_name, record.type_name);
        assert.equal(row.rcode, record.rcode ?? null);
        assert.equal(address(row.client_ip), record.client_ip);
        assert.equal(row.id.padStart(16, '0'), record.flow_id);
        assert.equal(row.latency_nanos === null ? null : Number(row.latency_nanos), record.latency === undefined ? null : Math.round(Number(record.latency.slice(0, -1)) * 1e9));
        assert.deepEqual(row.answers_data, (record.answers ?? []).map((answer) => answer.data));
        assert.deepEqual(row.answers_ttl_seconds, (record.answers ?? []).map((answer) => answer.ttl_seconds));
    }
});

test('the shipped questions about them are answered, and rightly', () => {
    const answer = (name) => ask(queries()[name].replaceAll('{from:DateTime}', "toDateTime(1699999000, 'UTC')").replaceAll('{to:DateTime}', "toDateTime(1700003000, 'UTC')"));
    const ids = (list) => new Set(list.map((alert) => alert.alert_id));
    assert.equal(answer('incidents').length, ids(alerts).size);
    const attackers = answer('attackers');
    assert.equal(attackers.length, Math.min(new Set(alerts.flatMap((alert) => alert.attackers)).size, 20));
    for (const row of attackers) {
        assert.equal(Number(row.incidents), ids(alerts.filter((alert) => alert.attackers.includes(address(row.attacker)))).size);
    }
    assert.ok(answer('flows_of_incidents').some((row) => address(row.client_ip) === '10.0.9.66'));
    assert.equal(answer('sensor_health').reduce((sum, row) => sum + Number(row.packets), 0), Number(/packets captured: (\d+)/.exec(said)[1]));
    assert.ok(answer('losses').every((row) => Number(row.lost) > 0));
    const failing = transactions.filter((record) => record.rcode_name === 'NXDOMAIN');
    const names = new Set(failing.map((record) => record.name));
    assert.equal(answer('failing_names').length, Math.min(names.size, 20));
});

test('no statement counts twice, and the ledger has all of it', async () => {
    for (const table of ['alerts', 'stats', 'dns']) {
        assert.equal(Number(one(`SELECT count() - uniqExact(sensor_id, boot_id, record_seq) FROM netscope.${table}`)), 0, table);
    }
    const whole = JSON.parse(await collector.page('/v1/ledger'));
    assert.equal(whole.balanced, true);
    for (const stream of ['alerts', 'stats', 'dns']) {
        const row = whole.rows.find(({ name }) => name === `clickhouse ${stream}`);
        assert.equal(row.in, row.out, stream);
        assert.equal(row.held, '0');
        assert.equal(row.in, String(one(`SELECT count() FROM netscope.${stream}`)), stream);
    }
});
