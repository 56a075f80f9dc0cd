// The collector's rows in the real engine: what it writes over HTTP is what Kafka's way writes, value by value, and the
// sums are those of the sensor's own files, although answers get lost, the server is away and the collector is killed.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Session } from 'chdb';
import { Front } from './front.mjs';
import { BIN, ROOT, cleanEnvironment, runSensor, statements, until } from './tools.mjs';

const TOPIC = 'netscope.flowrows.v1';
const FLOWS = 20000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'netscope-clickhouse-'));
let session;
let front;
let mock;
let collector;
let ports;
let records;

const ask = (text) =>
    String(session.query(text, 'JSONEachRow')).split('\n').filter(Boolean).map((line) => JSON.parse(line));
const number = (text) => BigInt(Object.values(ask(text)[0])[0]);

function freePort() {
    return new Promise((done) => {
        const probe = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => done(port));
        });
    });
}

// A page of the collector; '' where nobody answers. Without blocking: its requests are answered here meanwhile.
function fetchPage(page) {
    return new Promise((done) => {
        http.get({ host: '127.0.0.1', port: ports.http, path: page, agent: false }, (answer) => {
            let text = '';
            answer.on('data', (data) => (text += data));
            answer.on('end', () => done(answer.statusCode === 200 ? text : ''));
        }).on('error', () => done(''));
    });
}

async function metric(name) {
    const line = (await fetchPage('/metrics')).split('\n').find((text) => text.startsWith(`netscope_collector_clickhouse_${name}{stream="flows"} `));
    return line === undefined ? undefined : Number(line.split(' ').pop());
}

async function startCollector() {
    const child = spawn(
        path.join(BIN, 'netscope-collector'),
        ['--port', String(ports.http), '--ingest-listen', `127.0.0.1:${ports.ingest}`, '--data-dir', path.join(folder, 'store')],
        {
            env: {
                ...cleanEnvironment(),
                NETSCOPE_COLLECTOR_CLICKHOUSE__URL: `http://127.0.0.1:${ports.front}`,
                NETSCOPE_COLLECTOR_CLICKHOUSE__DATABASE: 'collected',
                NETSCOPE_COLLECTOR_CLICKHOUSE__USER: 'writer',
                NETSCOPE_COLLECTOR_CLICKHOUSE__PASSWORD_FILE: path.join(folder, 'password'),
                NETSCOPE_COLLECTOR_CLICKHOUSE__BATCH_ROWS: '3000',
                NETSCOPE_COLLECTOR_CLICKHOUSE__BATCH_INTERVAL: '200ms',
            },
            stdio: ['ignore', 'ignore', 'pipe'],
        },
    );
    child.text = '';
    child.stderr.on('data', (data) => (child.text += data));
    child.gone = new Promise((done) => child.on('exit', done));
    collector = child;
    await until('the collector answers', async () => (await fetchPage('/healthz')) !== '' || child.text);
}

const total = (field) =>
    records.reduce((sum, r) => sum + BigInt(r.forward?.[field] ?? 0) + BigInt(r.reverse?.[field] ?? 0), 0n);

before(async () => {
    fs.cpSync(path.join(ROOT, 'proto/netscope'), path.join(folder, 'netscope'), { recursive: true });
    fs.mkdirSync(path.join(folder, 'google/protobuf'), { recursive: true });
    for (const name of ['timestamp', 'duration']) {
        fs.copyFileSync(`/usr/include/google/protobuf/${name}.proto`, path.join(folder, `google/protobuf/${name}.proto`));
    }
    fs.writeFileSync(path.join(folder, 'password'), 'sesame\n', { mode: 0o600 });
    process.chdir(folder);
    session = new Session(path.join(folder, 'db'));

    mock = spawn(process.env.NETSCOPE_KAFKA_MOCK ?? path.join(BIN, '../tests/kafka-mock'), ['3'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    mock.stdout.on('data', (data) => (said += data));
    await until('the mock cluster is there', () => said.includes('\n'));
    const brokers = said.trim();
    mock.stdin.write(`topic ${TOPIC} 4\n`);
    await until('the topic is there', () => said.includes('ok'));

    // One database by Kafka, one by the collector, both as shipped.
    for (const name of ['01_flows.sql', '02_rollups.sql', '03_kafka.sql']) {
        for (const text of statements(name)) {
            session.query(text.replace('KAFKA_BROKERS', brokers));
            if (name !== '03_kafka.sql') {
                session.query(text.replaceAll(/\bnetscope\b/g, 'collected'));
            }
        }
        for (const database of name === '03_kafka.sql' ? [] : ['netscope', 'collected']) {
            for (const { name: table } of ask(`SELECT name FROM system.tables WHERE database = '${database}' AND engine LIKE '%MergeTree' AND create_table_query LIKE '% TTL %'`)) {
                session.query(`ALTER TABLE ${database}.${table} REMOVE TTL`); // the capture is old
            }
        }
    }
    front = new Front(session, folder);
    ports = { front: await front.listen(), http: await freePort(), ingest: await freePort() };

    const capture = path.join(folder, 'mix.pcap');
    const made = spawnSync(path.join(BIN, 'netscope-traffic'), ['mix', capture, '-f', String(FLOWS)], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const lines = path.join(folder, 'flows.jsonl');
    // The second answer gets lost, then the server is away for a while.
    front.trouble = ['well', 'deaf', 'down', 'cut', 'well', 'deaf'];
    await startCollector();
    await runSensor({ NETSCOPE_KAFKA__VALUE: 'flow_row', NETSCOPE_SPOOL__DIRECTORY: 'memory' }, '--read-pcap', capture, '--quiet',
        '--lossless', '--kafka', brokers, '--collector', `127.0.0.1:${ports.ingest}`, '--flows-jsonl', lines);
    records = fs.readFileSync(lines, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
});

after(async () => {
    mock?.stdin.end('quit\n');
    collector?.kill('SIGKILL');
    await collector?.gone;
    front?.close();
    session?.cleanup();
    process.chdir(os.tmpdir());
    fs.rmSync(folder, { recursive: true, force: true });
});

test('every record becomes one row, also over a kill behind an answer that nobody heard', async () => {
    await until('the last trouble is over', () => front.trouble.length === 0 || JSON.stringify(front.inserts));
    collector.kill('SIGKILL');
    await collector.gone;
    await startCollector();
    await until('all rows are there', async () => {
        const waiting = await metric('waiting');
        const rows = number('SELECT count() FROM collected.flows FINAL');
        return (waiting === 0 && rows === BigInt(records.length)) || `${rows} of ${records.length}, waiting ${waiting}\n${collector.text}`;
    });
    assert.equal(number('SELECT uniqExact(sensor_id, boot_id, record_seq) FROM collected.flows'), BigInt(records.length));
    // What was sent again had its token, and the same rows.
    const again = front.inserts.filter((one, i) => front.inserts.findIndex((other) => other.token === one.token) < i);
    assert.ok(again.length >= 2, JSON.stringify(front.inserts));
    for (const one of again) {
        assert.equal(one.bytes, front.inserts.find((other) => other.token === one.token).bytes);
    }
    assert.deepEqual([...front.users], ['writer:sesame']);
    assert.ok(front.inserts.every((one) => one.encoding === 'zstd'));
});

test('the engine took each statement once: nothing is twice, not even before parts are merged', () => {
    assert.equal(number('SELECT count() FROM collected.flows'), BigInt(records.length));
    for (const table of ['flows_1m', 'flows_5m', 'flows_1h']) {
        const of = (what) => number(`SELECT ${what} FROM collected.${table}`);
        assert.equal(of('sum(records)'), BigInt(records.length), table);
        assert.equal(of('sum(forward_packets + reverse_packets)'), total('delta_packets'), table);
        assert.equal(of('sum(forward_bytes + reverse_bytes)'), total('delta_bytes'), table);
    }
});

test("each row is the one that Kafka's way writes, in all columns but the record itself, which Kafka's way has not", async () => {
    await until("Kafka's rows are there", () => {
        const rows = number('SELECT count() FROM netscope.flows FINAL');
        return rows === BigInt(records.length) || `${rows} of ${records.length} rows`;
    });
    const names = ask("SELECT name FROM system.columns WHERE database = 'collected' AND table = 'flows' ORDER BY position").map((row) => row.name);
    assert.ok(names.length > 100);
    assert.ok(names.includes('record'));
    const whole = (database) => number(`SELECT countIf(length(record) > 0) FROM ${database}.flows`);
    assert.equal(whole('collected'), BigInt(records.length));
    assert.equal(whole('netscope'), 0n);
    for (const name of names.filter((each) => each !== 'record')) {
        const other = ask(`SELECT a.record_seq AS seq, toString(a.${name}) AS kafka, toString(b.${name}) AS collector
            FROM netscope.flows AS a INNER JOIN collected.flows AS b USING (sensor_id, boot_id, record_seq)
            WHERE toString(a.${name}) IS DISTINCT FROM toString(b.${name}) LIMIT 1`);
        assert.deepEqual(other, [], name);
    }
});

test('the ledger has all of it', async () => {
    const whole = JSON.parse(await fetchPage('/v1/ledger'));
    const row = whole.rows.find(({ name }) => name === 'clickhouse');
    assert.equal(whole.balanced, true);
    assert.equal(row.in, row.out);
    assert.equal(row.held, '0');
});
