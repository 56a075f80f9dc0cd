// deploy/clickhouse in the real engine: sensor -> Kafka -> raw table -> rollups, with the sums of the sensor's own
// files. The mock cluster is librdkafka's; the engine reads it with its own Kafka table.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Session } from 'chdb';
import { BIN, ROOT, queries, runSensor, statements, until } from './tools.mjs';

const TOPIC = 'netscope.flowrows.v1';
const FLOWS = 20000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'netscope-clickhouse-'));
let session;
let mock;
let brokers;
let cluster;
let capture;
let records; // what the sensor wrote to its file: the same records
let ledger; // what its metrics would say: from the summary

function ask(text) {
    const lines = String(session.query(text, 'JSONEachRow')).split('\n').filter(Boolean);
    return lines.map((line) => JSON.parse(line));
}

function number(text) {
    return BigInt(Object.values(ask(text)[0])[0]);
}

function startMock() {
    mock = spawn(process.env.NETSCOPE_KAFKA_MOCK ?? path.join(BIN, '../tests/kafka-mock'), ['3'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = [];
    const waiting = [];
    let rest = '';
    mock.stdout.on('data', (data) => {
        rest += data;
        for (let end; (end = rest.indexOf('\n')) >= 0; rest = rest.slice(end + 1)) {
            const line = rest.slice(0, end);
            waiting.length > 0 ? waiting.shift()(line) : lines.push(line);
        }
    });
    const next = () => (lines.length > 0 ? Promise.resolve(lines.shift()) : new Promise((done) => waiting.push(done)));
    return {
        next,
        say: async (text) => {
            mock.stdin.write(text + '\n');
            assert.equal(await next(), 'ok', text);
        },
    };
}

function sum(way, field, choose = () => true) {
    return records.filter(choose).reduce((total, r) => total + BigInt(r[way]?.[field] ?? 0), 0n);
}

const both = (field, choose) => sum('forward', field, choose) + sum('reverse', field, choose);

before(async () => {
    // The engine looks for schemas below its working directory.
    fs.cpSync(path.join(ROOT, 'proto/netscope'), path.join(folder, 'netscope'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'google/protobuf'), { recursive: true });
    for (const name of ['timestamp', 'duration']) {
        fs.copyFileSync(`/usr/include/google/protobuf/${name}.proto`, path.join(folder, `google/protobuf/${name}.proto`));
    }
    process.chdir(folder);
    session = new Session(path.join(folder, 'db'));

    cluster = startMock();
    brokers = await cluster.next();
    await cluster.say(`topic ${TOPIC} 4`);

    capture = path.join(folder, 'mix.pcap');
    const made = spawnSync(path.join(BIN, 'netscope-traffic'), ['mix', capture, '-f', String(FLOWS)], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const lines = path.join(folder, 'flows.jsonl');
    const said = await runSensor({ NETSCOPE_KAFKA__VALUE: 'flow_row', NETSCOPE_NETWORKS__LABELS: '10.0.0.0/8 site=hq role=any,10.0.64.0/18 site=berlin' }, '--read-pcap', capture, '--quiet', '--lossless', '--kafka', brokers, '--flows-jsonl', lines);
    records = fs.readFileSync(lines, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    ledger = BigInt(/packets captured: (\d+)/.exec(said)[1]) - BigInt(/not IP: (\d+)/.exec(said)[1]);
});

after(() => {
    mock?.stdin.end('quit\n');
    session?.cleanup();
    process.chdir(os.tmpdir());
    fs.rmSync(folder, { recursive: true, force: true });
});

test('every statement runs as it is shipped, twice', () => {
    for (const name of ['01_flows.sql', '02_rollups.sql', '04_alerts_stats.sql']) {
        for (const text of [...statements(name), ...statements(name)]) {
            session.query(text);
        }
    }
    // A table of a version before gets the columns that it lacks.
    session.query('ALTER TABLE netscope.flows DROP COLUMN tcp_reverse_fast_retransmissions, DROP COLUMN app_method');
    statements('01_flows.sql').forEach((text) => session.query(text));
    // The capture is old: its rows would be dropped at once.
    for (const table of ['flows', 'flows_1m', 'flows_5m', 'flows_1h']) {
        session.query(`ALTER TABLE netscope.${table} REMOVE TTL`);
    }
    for (const text of statements('03_kafka.sql')) {
        session.query(text.replace('KAFKA_BROKERS', brokers));
    }
});

// The record as it is comes by the collector alone: Kafka's rows (FlowRow) do not have it.
const BY_COLLECTOR_ALONE = ['record'];

test('table, queue and view have the same columns, but for what only the collector writes', () => {
    const columns = (table) => ask(`SELECT name FROM system.columns WHERE database = 'netscope' AND table = '${table}' ORDER BY name`).map((row) => row.name);
    const fromKafka = columns('flows').filter((name) => !BY_COLLECTOR_ALONE.includes(name));
    assert.equal(fromKafka.length, columns('flows').length - BY_COLLECTOR_ALONE.length);
    assert.deepEqual(columns('flows_queue_view'), fromKafka);
    assert.deepEqual(columns('flows_queue').map((name) => name.replace(/_unix_nanos$/, '')).sort(), fromKafka);
});

test('every record of the topic becomes one row', async () => {
    await until('all rows are there', () => {
        const rows = number('SELECT count() FROM netscope.flows FINAL');
        return rows === BigInt(records.length) || `${rows} of ${records.length} rows`;
    });
    assert.equal(number('SELECT uniqExact(sensor_id, boot_id, record_seq) FROM netscope.flows'), BigInt(records.length));
});

test('sums over the raw table and each rollup equal the ledger', async () => {
    assert.equal(both('delta_packets'), ledger);
    const raw = 'FROM netscope.flows FINAL';
    assert.equal(number(`SELECT sum(forward_delta_packets + reverse_delta_packets) ${raw}`), ledger);
    assert.equal(number(`SELECT sum(forward_delta_bytes + reverse_delta_bytes) ${raw}`), both('delta_bytes'));
    for (const table of ['flows_1m', 'flows_5m', 'flows_1h']) {
        // A block becomes visible in the raw table first, then in what its views write.
        await until(`all of ${table} is there`, () => {
            const rows = number(`SELECT sum(records) FROM netscope.${table}`);
            return rows >= BigInt(records.length) || `${rows} of ${records.length} records`;
        });
        const of = (what) => number(`SELECT ${what} FROM netscope.${table}`);
        assert.equal(of('sum(forward_packets + reverse_packets)'), ledger, table);
        assert.equal(of('sum(forward_bytes)'), sum('forward', 'delta_bytes'), table);
        assert.equal(of('sum(reverse_bytes)'), sum('reverse', 'delta_bytes'), table);
        assert.equal(of('sum(records)'), BigInt(records.length), table);
        assert.equal(of('sum(flows_ended)'), BigInt(records.filter((r) => r.event === 'FLOW_EVENT_END').length), table);
    }
});

test('a row says what its record says', () => {
    const word = (text) => text.replace(/^[A-Z_]*?_(?=(START|UPDATE|END|INTERNAL|EXTERNAL|MULTICAST|LINK_LOCAL)$)/, '').toLowerCase();
    const address = (text) => (text.startsWith('::ffff:') ? text.slice(7) : text);
    for (let i = 0; i < records.length; i += Math.ceil(records.length / 200)) {
        const record = records[i];
        const row = ask(`SELECT *, lower(hex(flow_id)) AS id, toUnixTimestamp64Nano(start_time) AS start FROM netscope.flows FINAL
            WHERE record_seq = ${record.record_seq}`)[0];
        assert.equal(row.sensor_id, record.sensor_id);
        assert.equal(row.boot_id, record.boot_id);
        assert.equal(row.id.padStart(16, '0'), record.flow_id);
        assert.equal(row.event, word(record.event));
        assert.equal(address(row.client_ip), record.client.ip);
        assert.equal(address(row.server_ip), record.server.ip);
        assert.equal(row.client_port, record.client.port);
        assert.equal(row.server_port, record.server.port);
        assert.equal(row.client_scope, word(record.client.scope));
        assert.equal(row.server_name, record.server.name);
        assert.equal(row.ip_protocol, record.ip_protocol);
        assert.equal(row.community_id, record.community_id);
        assert.equal(row.vlan_id, record.vlan_id ?? null);
        assert.equal(String(row.forward_total_bytes), record.forward.total_bytes);
        assert.equal(row.app_protocol, record.app?.protocol ?? '');
        assert.equal(row.app_method, record.app?.method ?? '');
        assert.equal(String(row.reverse_total_ip_bytes), record.reverse?.total_ip_bytes ?? '0');
        assert.equal(row.tcp_server_rtt_samples, record.tcp?.server_rtt?.samples ?? 0);
        assert.equal(row.tls_sni, record.tls?.sni ?? '');
        assert.deepEqual(row.dns_queries_name, (record.dns?.queries ?? []).map((q) => q.name));
        assert.deepEqual(row.dns_queries_rcode, (record.dns?.queries ?? []).map((q) => q.rcode ?? -1));
        assert.equal(BigInt(row.start) / 1000000000n, BigInt(Math.floor(Date.parse(record.start_time) / 1000)));
    }
});

test("TCP's figures add up as in the records", () => {
    for (const name of ['retransmitted_bytes', 'spurious_retransmissions', 'out_of_order_segments', 'sequence_gaps']) {
        const told = records.reduce((total, r) => total + BigInt(r.tcp?.reverse?.[name] ?? 0), 0n);
        assert.ok(told > 0n, `the capture has no ${name}`);
        assert.equal(number(`SELECT sum(tcp_reverse_${name}) FROM netscope.flows FINAL`), told, name);
        assert.equal(number(`SELECT sum(tcp_forward_${name}) FROM netscope.flows FINAL`), 0n, name);
    }
});

test('a record that comes twice is one row', () => {
    session.query('INSERT INTO netscope.flows SELECT * FROM netscope.flows LIMIT 500');
    assert.equal(number('SELECT count() FROM netscope.flows FINAL'), BigInt(records.length));
    session.query('OPTIMIZE TABLE netscope.flows FINAL');
    assert.equal(number('SELECT count() FROM netscope.flows'), BigInt(records.length));
});

function answer(name) {
    const times = records.map((r) => Date.parse(r.end_time));
    const low = times.reduce((a, b) => Math.min(a, b));
    const high = times.reduce((a, b) => Math.max(a, b));
    const text = (ms) => `toDateTime(${Math.floor(ms / 1000)}, 'UTC')`;
    return ask(
        queries()[name].replaceAll('{from:DateTime}', text(low - 3600000)).replaceAll('{to:DateTime}', text(high + 3600000)),
    );
}

test('the shipped questions are answered, and rightly', () => {
    for (const name of Object.keys(queries())) {
        assert.ok(Array.isArray(answer(name)), name);
    }
    const bytes = new Map();
    for (const record of records.filter((r) => r.client.scope.endsWith('_INTERNAL'))) {
        const more = BigInt(record.forward?.delta_bytes ?? 0) + BigInt(record.reverse?.delta_bytes ?? 0);
        bytes.set(record.client.ip, (bytes.get(record.client.ip) ?? 0n) + more);
    }
    const most = [...bytes.values()].reduce((a, b) => (a > b ? a : b));
    const top = answer('top_talkers')[0];
    assert.equal(BigInt(top.bytes_sent) + BigInt(top.bytes_received), most);
    const port = (list) => list.filter((row) => row.server_port === 443).length;
    assert.ok(port(answer('services')) > 0);
    assert.ok(answer('handshake_percentiles').every((row) => row.milliseconds[0] <= row.milliseconds[2]));
    const sites = new Map();
    for (const record of records) {
        const pair = [record.client, record.server].map((end) => end.labels?.site ?? '').join('>');
        sites.set(pair, (sites.get(pair) ?? 0n) + BigInt(record.forward?.delta_bytes ?? 0));
    }
    assert.ok(sites.size > 2);
    assert.deepEqual(new Map(answer('networks').map((row) => [`${row.client_site}>${row.server_site}`, BigInt(row.bytes_sent)]).sort()), new Map([...sites].sort()));
    const lost = answer('lost_records');
    assert.equal(lost.length, 1);
    assert.equal(Number(lost[0].missing), 0);
});

test("the format Protobuf reads what comes behind its length (kafka.protobuf_framing: varint)", async () => {
    await cluster.say('topic framed.flowrows.v1 2');
    session.query(`CREATE TABLE netscope.framed (flow_id String, record_seq UInt64, forward_delta_packets UInt64, reverse_delta_packets UInt64)
        ENGINE = Kafka SETTINGS kafka_broker_list = '${brokers}', kafka_topic_list = 'framed.flowrows.v1', kafka_group_name = 'framed',
        kafka_format = 'Protobuf', kafka_schema = 'netscope/v1/flow_row:FlowRow', kafka_flush_interval_ms = 1000`);
    session.query('CREATE TABLE netscope.framed_rows (flow_id String, record_seq UInt64, forward_delta_packets UInt64, reverse_delta_packets UInt64) ENGINE = MergeTree ORDER BY record_seq');
    session.query('CREATE MATERIALIZED VIEW netscope.framed_view TO netscope.framed_rows AS SELECT * FROM netscope.framed');
    await runSensor({ NETSCOPE_KAFKA__VALUE: 'flow_row', NETSCOPE_KAFKA__TOPIC_PREFIX: 'framed', NETSCOPE_KAFKA__ALERTS: 'false', NETSCOPE_KAFKA__STATS: 'false', NETSCOPE_KAFKA__PROTOBUF_FRAMING: 'varint' },
        '--read-pcap', capture, '--quiet', '--lossless', '--kafka', brokers);
    await until('all rows are there', () => {
        const rows = number('SELECT uniqExact(record_seq) FROM netscope.framed_rows');
        return rows === BigInt(records.length) || `${rows} of ${records.length} rows`;
    });
    assert.equal(number('SELECT sum(forward_delta_packets + reverse_delta_packets) FROM netscope.framed_rows'), ledger);
});
