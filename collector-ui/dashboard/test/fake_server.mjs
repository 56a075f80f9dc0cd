/* A small collector for development and tests: the contract of docs/live-feed.md with made-up, deterministic data.
 *
 *   node test/fake_server.mjs [--port N] [--dist DIR] [--now MS] [--empty] [--ticks-hz N]
 *
 * All figures are functions of time and a seed, so every range has the same history at every start. --now freezes the
 * clock's start at a moment (for screenshots). fake_collector() is what tests call: it can be told to misbehave. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fake_access } from './fake_access.mjs';
import { FakeCaptures } from './fake_captures.mjs';
import { list_assets } from './fake_assets.mjs';
import { aggregate, list_parties } from './fake_hosts.mjs';
import { collector_status } from './fake_status.mjs';
import { sensor_record } from './fake_sensors.mjs';
import { FakeTriage } from './fake_triage.mjs';

const CSP =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/* -- made-up world ------------------------------------------------------------------------------------------------ */

function noise(seed, n) {
    let h = (seed * 374761393 + Math.floor(n) * 668265263) | 0;
    h = Math.imul(h ^ (h >>> 13), 1274126177);
    h ^= h >>> 16;
    return (h >>> 0) / 4294967296;
}
/* continuous noise around 1 */
function wave(seed, t_s) {
    const smooth = (period) => {
        const x = t_s / period;
        const i = Math.floor(x);
        const f = x - i;
        const u = f * f * (3 - 2 * f);
        return noise(seed, i) * (1 - u) + noise(seed, i + 1) * u;
    };
    return 0.72 + 0.34 * smooth(611) + 0.16 * smooth(97) + 0.1 * smooth(13) + 0.05 * smooth(2);
}

const APPS = [
    ['tls', 1, 4.0e9, 2.0e9], ['quic', 2, 3.0e9, 4.7e8], ['kafka', 3, 1.6e9, 1.1e9], ['postgres', 4, 8.4e8, 1.1e9],
    ['dns', 5, 1.6e8, 1.2e8], ['ssh', 6, 2.2e8, 4.1e8], ['http', 0, 5.0e8, 3.1e8], ['ntp', 0, 3.0e8, 2.2e8],
];
const SENSORS = [
    ['s-fra-1', 'fra-1', 'Frankfurt', 0.2], ['s-fra-2', 'fra-2', 'Frankfurt', 0.17], ['s-ams-1', 'ams-1', 'Amsterdam', 0.13],
    ['s-ams-2', 'ams-2', 'Amsterdam', 0.115], ['s-lon-1', 'lon-1', 'London', 0.1], ['s-nyc-1', 'nyc-1', 'New York', 0.085],
    ['s-nyc-2', 'nyc-2', 'New York', 0.065], ['s-sjc-1', 'sjc-1', 'San Jose', 0.05], ['s-gru-1', 'gru-1', 'São Paulo', 0.025],
    ['s-sgp-1', 'sgp-1', 'Singapore', 0.03], ['s-tyo-1', 'tyo-1', 'Tokyo', 0.02], ['s-lab-7', 'lab-7', 'Lab', 0.0012],
];
const SITES = ['', ...new Set(SENSORS.map(([, , site]) => site))];
/* Settings pushed to some of them. */
const DESIRED = {
    'fra-1': { state: 'APPLIED', config_id: 'c1', reason: '', path: '', line: 0 }, 'fra-2': { state: 'APPLYING', config_id: 'c1', reason: '', path: '', line: 0 },
    'ams-1': { state: 'PENDING', config_id: 'c1', reason: 'the first sensors have not held long enough', path: '', line: 0 },
    'lab-7': { state: 'FAILED', config_id: 'c1', reason: "offer:3: unknown key 'flow.idle_timout'; did you mean 'flow.idle_timeout'?", path: 'flow.idle_timeout', line: 3 },
    'tyo-1': { state: 'ROLLED_BACK', config_id: 'c1', reason: 'the stream to the collector did not hold within collector.apply_timeout', path: '', line: 0 },
    'sjc-1': { state: 'NEEDS_RESTART', config_id: 'c1', reason: 'these settings are in force from the next start of the sensor on', path: '', line: 0 },
};
const HOSTS = {
    tls: ['cdn-edge.example.net', 's3.eu-central-1.amazonaws.com', 'api.example.net', 'registry.example.io', 'telemetry.example.com'],
    quic: ['video.example.com', 'play.example.org', 'fonts.example.com'],
    kafka: ['kafka-3.prod', 'kafka-1.prod'], postgres: ['pg-main.prod', 'pg-dev.lab'], dns: ['10.0.0.53', '192.0.2.53'],
    ssh: ['198.51.100.23', 'backup-2.lab'], http: ['mirror.example.org', 'intranet.lab'], ntp: ['192.0.2.123'],
};
const PORTS = { tls: 443, quic: 443, kafka: 9092, postgres: 5432, dns: 53, ssh: 22, http: 80, ntp: 123 };
const STATES = ['', 'SYN_SENT', 'SYN_RECEIVED', 'ESTABLISHED', 'FIN_WAIT', 'CLOSED', 'RESET'];

/* times of the story, as ms before the end of it */
const SURGE = 18 * 60_000;
const LOSS_SINCE = 27 * 60_000;
const SILENT_FROM = 26 * 60_000;
const SILENT_TO = 22 * 60_000;

const iso = (ms) => new Date(ms).toISOString().replace('Z', '000000Z').replace(/\.(\d{3})0{6}Z/, '.$1000000Z');
const hex = (n, width) => n.toString(16).padStart(width, '0');

/* What the sensor's settings say of networks. */
function network(ip) {
    if (ip.startsWith('10.')) {
        return { labels: { site: ip.startsWith('10.3.') ? 'Frankfurt' : 'Ashburn' } };
    }
    return ip.startsWith('2001:db8:') ? {} : { labels: { as_org: 'Example Net, Inc.', asn: 'AS64500', country: 'US' } };
}

export function make_world(options = {}) {
    const started = Date.now();
    const now = options.now === undefined ? () => Date.now() : () => options.now + (options.frozen ? 0 : Date.now() - started);
    const story_end = Math.floor((options.now ?? started) / 60_000) * 60_000;
    const first_ms = story_end - (options.days ? options.days * 86_400_000 : 90 * 60_000);

    const app_bps = (i, t_ms, out) => {
        const [, , down, up] = APPS[i];
        let v = (out ? up : down) * wave(i * 7 + (out ? 3 : 1), t_ms / 1000);
        if (APPS[i][0] === 'kafka') {
            const d = (t_ms - (story_end - SURGE)) / 150_000;
            v *= 1 + 1.7 * Math.exp(-d * d);
        }
        if (APPS[i][0] === 'ssh' && out && t_ms > story_end - 6 * 60_000) {
            v += 5.6e8;
        }
        return v;
    };
    const sensor_bps = (i, t_ms) => {
        if (SENSORS[i][1] === 'gru-1' && t_ms > story_end - SILENT_FROM && t_ms < story_end - SILENT_TO) {
            return null;
        }
        let total = 0;
        for (let a = 0; a < APPS.length; a++) {
            total += app_bps(a, t_ms, false) + app_bps(a, t_ms, true);
        }
        const day = 0.35 + 1.2 * wave(100 + i, t_ms / 4000) * wave(200 + i, t_ms / 1000) - 0.3;
        return total * SENSORS[i][3] * Math.max(0.06, day);
    };
    const sensor_side = (i, t_ms, out) => {
        const all = sensor_bps(i, t_ms);
        return all === null ? null : all * (out ? 0.37 : 0.63);
    };
    const site_side = (name, t_ms, out) => SENSORS.map(([, , site], i) => (site === name ? sensor_side(i, t_ms, out) : null)).reduce((sum, v) => (v === null ? sum : (sum ?? 0) + v), null);
    const sensor_loss = (i, t_ms) => (sensor_bps(i, t_ms) === null ? null : SENSORS[i][1] === 'sgp-1' && t_ms > story_end - LOSS_SINCE ? 4100 * wave(55, t_ms / 1000) : 0);
    const totals = (t_ms) => {
        let down = 0;
        let up = 0;
        for (let a = 0; a < APPS.length; a++) {
            down += app_bps(a, t_ms, false);
            up += app_bps(a, t_ms, true);
        }
        const scan = t_ms > story_end - 150_000 ? 1400 : 0;
        return {
            bps_in: down, bps_out: up, pps: ((down + up) / 8 / 1155) * wave(31, t_ms / 1000), flows: Math.round(48_000 * wave(32, t_ms / 1000)),
            new_ps: 2500 * wave(33, t_ms / 1000) + scan, rtt_ms: 11.8 * wave(34, t_ms / 1000), loss_ppm: t_ms > story_end - LOSS_SINCE ? 390 * wave(35, t_ms / 1000) : 12,
        };
    };

    /* flows: fixed at the start, ages moving with the clock */
    const flows = [];
    for (let n = 0; n < (options.flows ?? 1200); n++) {
        const a = Math.floor(APPS.length * noise(1, n) ** 1.6);
        const app = APPS[a][0];
        const host = HOSTS[app][Math.floor(noise(2, n) * HOSTS[app].length)];
        const s = Math.floor(SENSORS.length * noise(3, n) ** 1.8);
        const v6 = noise(4, n) > 0.9;
        const size = Math.exp(9 + 12 * noise(5, n) ** 2.2);
        const ended = n % 3 === 2;
        flows.push({
            n, app, s, id: hex(Math.floor(noise(6, n) * 2 ** 32), 8) + hex(n, 8), client: v6 ? `2001:db8:7::${hex(n, 1)}` : `10.3.${Math.floor(noise(7, n) * 24)}.${1 + Math.floor(noise(8, n) * 250)}`,
            cport: 32768 + Math.floor(noise(9, n) * 28000), server: /^[0-9.]+$/.test(host) ? host : v6 ? `2001:db8:40::${hex(a + 1, 1)}` : `52.219.${a}.${10 + Math.floor(noise(2, n) * 5)}`,
            name: /^[0-9.]+$/.test(host) ? '' : host, port: PORTS[app], udp: app === 'quic' || app === 'dns' || app === 'ntp', bytes: size, share_in: 0.35 + 0.6 * noise(10, n),
            age_ms: (n < 60 ? 20_000 : 60_000) + 3.4e6 * noise(11, n), last_ago_ms: ended ? 5000 + 2.6e6 * noise(12, n) : 0, ended, rtt: 4 + 240 * noise(13, n) ** 4 + (n % 17 === 0 ? 130 : 0),
            retr: noise(14, n) > 0.7 ? Math.floor(size / 200_000 * noise(15, n) * 0.02) : 0, state: ended ? (noise(16, n) > 0.7 ? 'RESET' : 'CLOSED') : noise(16, n) > 0.94 ? 'SYN_SENT' : 'ESTABLISHED',
        });
    }
    /* the names strangers chose */
    Object.assign(flows[3], { name: 'evil\u202Egpj.exe.example\u0007', client: '10.3.7.41', app: 'tls', port: 443, udp: false });
    Object.assign(flows[7], { name: '<img src=x onerror=alert(1)>.example', app: 'tls', port: 443, udp: false });
    Object.assign(flows[11], { name: '=HYPERLINK("http://example.org")', app: 'http', port: 80, udp: false });

    const flow_times = (f) => {
        const end = Math.min(now(), story_end + 1e12) - f.last_ago_ms - (f.ended ? now() - story_end : 0);
        const begin = story_end - f.last_ago_ms - f.age_ms;
        return { begin, end: Math.max(begin + 1, end - (f.ended ? 0 : noise(40 + f.n, now() / 1000) * 4000)) };
    };
    const flow_bps = (f, t = now()) => (f.ended ? 0 : ((f.bytes * 8000) / f.age_ms) * wave(300 + f.n, t / 1000));

    /* Every fifth flow passes a second sensor, 3 ms later, which missed a little of it. */
    const other_id = (f) => `e${f.id.slice(1)}`;
    function observers(f, begin, bytes) {
        if (f.n % 5 !== 1) {
            return {};
        }
        const seen = (sensor_id, flow_id, at, share, primary) => ({
            sensor_id, flow_id, first_time: iso(at), total_bytes: String(Math.round(bytes * share)), primary, total_packets: String(Math.ceil((bytes * share) / 900)), missed_bytes: primary ? '0' : String(Math.round(bytes * (1 - share))),
            ...(f.udp || f.state === 'SYN_SENT' ? {} : { rtt: `${((f.rtt + 1.1) / 1000).toFixed(6)}s` }),
        });
        return { observers: [seen(SENSORS[f.s][0], f.id, begin, 1, true), seen(SENSORS[(f.s + 1) % SENSORS.length][0], other_id(f), begin + 3, 0.97, false)] };
    }

    function record(f) {
        const { begin, end } = flow_times(f);
        const total_in = Math.round(f.bytes * f.share_in);
        const total_out = Math.round(f.bytes - total_in);
        const tcp = f.udp
            ? undefined
            : {
                  state: `TCP_STATE_${f.state}`, conn_state: f.state === 'RESET' ? 'RSTO' : f.state === 'CLOSED' ? 'SF' : f.state === 'SYN_SENT' ? 'S0' : 'S1', history: 'ShADad',
                  forward: { retransmitted_segments: String(Math.floor(f.retr / 3)), out_of_order_segments: '1' },
                  reverse: { retransmitted_segments: String(f.retr - Math.floor(f.retr / 3)), out_of_order_segments: '2' },
                  ...(f.state === 'SYN_SENT' ? {} : {
                      client_rtt: { min: '0.0004s', mean: '0.0011s', max: '0.009s', samples: 41 },
                      server_rtt: { min: `${(f.rtt * 0.9 / 1000).toFixed(6)}s`, mean: `${(f.rtt / 1000).toFixed(6)}s`, max: `${(f.rtt * 2 / 1000).toFixed(6)}s`, samples: 212 },
                      handshake_time: `${(f.rtt / 1000 + 0.0011).toFixed(6)}s`, server_response_time: `${(f.rtt * 1.1 / 1000).toFixed(6)}s`,
                  }),
              };
        const interval = Math.min(60_000, end - begin);
        const delta = (flow_bps(f) * interval) / 8000;
        return {
            sensor_id: SENSORS[f.s][0], boot_id: '00112233445566778899aabbccddeeff', record_seq: String(1000 + f.n), flow_id: f.id, community_id: `1:${createHash('sha1').update(f.id).digest('base64')}`,
            event: f.ended ? 'FLOW_EVENT_END' : 'FLOW_EVENT_UPDATE', end_reason: f.ended ? 'FLOW_END_REASON_END_OF_FLOW' : 'FLOW_END_REASON_ACTIVE', start_time: iso(begin), end_time: iso(end), delta_start_time: iso(end - interval),
            client: { ip: f.client, port: f.cport, name: '', ...network(f.client) }, server: { ip: f.server, port: f.port, name: f.name, ...network(f.server) }, ip_version: f.client.includes(':') ? 6 : 4, ip_protocol: f.udp ? 17 : 6,
            interface: 'eno2', forward: { delta_packets: '12', delta_bytes: String(Math.round(delta * (1 - f.share_in))), total_packets: String(Math.ceil(total_out / 400)), total_bytes: String(total_out), total_payload_bytes: String(Math.round(total_out * 0.94)) },
            reverse: { delta_packets: '30', delta_bytes: String(Math.round(delta * f.share_in)), total_packets: String(Math.ceil(total_in / 1250)), total_bytes: String(total_in), total_payload_bytes: String(Math.round(total_in * 0.96)) },
            ...(tcp ? { tcp } : {}), app: { protocol: f.app, confidence: f.app === 'kafka' ? 'APP_CONFIDENCE_PORT' : 'APP_CONFIDENCE_CERTAIN', method: f.app === 'tls' ? 'client_hello' : '' },
            ...(f.app === 'tls' || f.app === 'quic' ? { tls: { sni: f.name, version: '1.3', alpn: ['h2'], cipher: 4865, ja4: 't13d1516h2_8daaf6152771_b186095e22b6' } } : {}),
            ...(f.app === 'dns' ? { dns: { query_count: 3, response_count: 3, response_time: '0.004s', queries: [{ name: 'www.example.org', type: 1, rcode: 0, latency: '0.004s' }], queries_omitted: 2 } } : {}),
            ...(f.app === 'http' ? { http: { method: 'GET', hosts: [f.name], status: 200, user_agent: 'curl/8.5.0' } } : {}),
            ...observers(f, begin, f.bytes),
        };
    }

    const alerts = [
        { alert_id: '0190-a1', kind: 'PORT_SCAN_VERTICAL', severity: 'CRITICAL', first: 150_000, last: 2000, attackers: ['10.3.7.41'], victims: ['10.20.0.5', '10.20.0.6'], victims_total: 212, observed: 1024, threshold: 25, unit: 'ports', suppressed: 18_639, description: '10.3.7.41 tried 1 024 ports of 212 hosts within 10 s; 25 is the limit.', key: 'detection.port_scan.unique_ports_threshold', mitre: ['T1046', 'Network Service Discovery'] },
        { alert_id: '0190-a2', kind: 'DATA_EXFIL', severity: 'HIGH', first: 9 * 60_000, last: 6 * 60_000, attackers: ['10.3.7.41'], victims: ['198.51.100.23'], observed: 3.4e9, threshold: 1e9, unit: 'B', suppressed: 0, description: '10.3.7.41 sent 3.4 GB over SSH to 198.51.100.23, an address never seen before.', key: 'detection.data_exfil.bytes', mitre: ['T1048', 'Exfiltration Over Alternative Protocol'] },
        { alert_id: '0190-a3', kind: 'SENSOR_LOSS', severity: 'HIGH', first: LOSS_SINCE, last: 3000, attackers: [], victims: [], sensors: ['s-sgp-1'], observed: 4100, threshold: 1000, unit: 'ppm', suppressed: 0, description: 'sgp-1 lost 0.41 % of its packets in the kernel.', key: 'detection.sensor_loss.ratio' },
        { alert_id: '0190-a4', kind: 'UDP_FLOOD', severity: 'MEDIUM', first: SURGE + 60_000, last: SURGE - 5 * 60_000, attackers: ['10.20.4.11'], victims: ['10.20.4.3'], observed: 41_000, threshold: 20_000, unit: 'packets/s', suppressed: 3, description: '10.20.4.11 sends 41 000 packets/s to 10.20.4.3.', key: 'detection.udp_flood.packets_per_second' },
        { alert_id: '0190-a5', kind: 'WEAK_TLS', severity: 'LOW', first: 51 * 60_000, last: 51 * 60_000, attackers: [], victims: ['pg-dev.lab'], observed: null, threshold: null, unit: '', suppressed: 6, description: 'pg-dev.lab:5432 shows a self-signed certificate.', key: '' },
        { alert_id: '0190-a6', kind: 'SYN_FLOOD', severity: 'HIGH', first: 58 * 60_000, last: 55 * 60_000, closed: true, attackers: ['203.0.113.9'], victims: ['10.20.1.1'], observed: 900, threshold: 200, unit: 'SYN/5 s', suppressed: 0, description: '10.20.1.1 received 900 SYN in 5 s from 61 sources.', key: 'detection.syn_flood.syn_threshold' },
    ];
    function alert_record(a) {
        const peers = (list) => list.map((x) => (/^[0-9.]+$/.test(x) ? { ip: x } : { ip: '10.9.0.9', name: x }));
        return {
            alert_id: a.alert_id, alert_key: `k-${a.alert_id}`, kind: `ALERT_KIND_${a.kind}`, kind_name: a.kind.toLowerCase(), state: a.closed ? 'ALERT_STATE_CLOSE' : 'ALERT_STATE_OPEN', scope: 'ALERT_SCOPE_SENSOR', sensor_ids: a.sensors ?? ['s-fra-1'],
            severity: `SEVERITY_${a.severity}`, score: 80, confidence: 90, first_time: iso(story_end - a.first), last_time: iso(story_end - a.last), ...(a.closed ? { close_reason: 'CLOSE_REASON_QUIET' } : {}),
            attackers: peers(a.attackers), victims: peers(a.victims), attackers_total_estimate: String(a.attackers.length), victims_total_estimate: String(a.victims_total ?? a.victims.length), ...(a.observed === null ? {} : { observed: a.observed, threshold: a.threshold }), unit: a.unit, window: '10s', estimate_error: 0.02, suppressed_count: String(a.suppressed),
            evidence: a.kind.startsWith('PORT') ? { top_ports: [22, 80, 443, 445, 3389].map((n) => ({ key: String(n), count: '40', max_overcount: '0' })), top_sources: [], community_ids: ['1:LQU9qZlK+B5F3KDmev6m5PMibrg='], packet_sample_ids: ['p-1003'] } : {}, mitre: a.mitre ? [{ technique_id: a.mitre[0], technique_name: a.mitre[1] }] : [], description: a.description,
            config_key: a.key, loss_during_window: a.kind === 'SENSOR_LOSS' ? '812' : '0',
        };
    }
    return { now, first_ms, story_end, app_bps, sensor_bps, sensor_side, site_side, sensor_loss, totals, flows, flow_times, flow_bps, record, other_id, alerts, alert_record, triage: new FakeTriage(), captures: new FakeCaptures(), started: now(), empty: options.empty === true };
}

/* -- packets ------------------------------------------------------------------------------------------------ */

function client_hello(name) {
    const sni = Buffer.from(name);
    const u16 = (n) => Buffer.from([n >> 8, n & 255]);
    const ext_sni = Buffer.concat([u16(0), u16(sni.length + 5), u16(sni.length + 3), Buffer.from([0]), u16(sni.length), sni]);
    const ext_alpn = Buffer.concat([u16(16), u16(5), u16(3), Buffer.from([2]), Buffer.from('h2')]);
    const exts = Buffer.concat([ext_sni, ext_alpn]);
    const body = Buffer.concat([u16(0x0303), createHash('sha256').update(name).digest(), Buffer.from([0]), u16(6), u16(0x1301), u16(0x1302), u16(0xc02b), Buffer.from([1, 0]), u16(exts.length), exts]);
    const handshake = Buffer.concat([Buffer.from([1, 0]), u16(body.length), body]);
    return { bytes: Buffer.concat([Buffer.from([22, 3, 1]), u16(handshake.length), handshake]), sni_at: 5 + 4 + 2 + 32 + 1 + 2 + 6 + 2 + 2 + 9, sni_length: sni.length, alpn_at: 5 + 4 + 2 + 32 + 1 + 2 + 6 + 2 + 2 + ext_sni.length + 6 };
}

/* Each flow has a packet in 60; now and then one is sent again. */
const sequence_of = (i) => 1000 + i - (Math.floor(i / 60) % 4 === 3 ? 60 : 0);

function make_packet(world, i) {
    const f = world.flows[(i * 7) % 60];
    const forward = i % 2 === 0;
    const hello = i % 4 === 0 && (f.app === 'tls' || f.app === 'quic');
    const text = hello ? client_hello(f.name || 'example.org') : { bytes: Buffer.from(createHash('sha256').update(`p${i}`).digest().subarray(0, i % 3 === 0 ? 0 : 32)) };
    const ip4 = (a) => (/^\d+\.\d+\.\d+\.\d+$/.test(a) ? Buffer.from(a.split('.').map(Number)) : Buffer.from([10, 9, 0, i % 250]));
    const eth = Buffer.from([0x3c, 0xec, 0xef, 0x12, 0x34, 0x56, 0, 0x1b, 0x21, 0xab, 0xcd, 0xef, 8, 0]);
    const l4 = f.udp ? Buffer.alloc(8) : Buffer.alloc(20);
    const [sp, dp] = forward ? [f.cport, f.port] : [f.port, f.cport];
    l4.writeUInt16BE(sp, 0);
    l4.writeUInt16BE(dp, 2);
    if (f.udp) {
        l4.writeUInt16BE(8 + text.bytes.length, 4);
    } else {
        l4.writeUInt32BE(1000 + i, 4);
        l4[12] = 0x50;
        l4[13] = 0x18;
        l4.writeUInt16BE(502, 14);
    }
    const ip = Buffer.alloc(20);
    ip[0] = 0x45;
    ip.writeUInt16BE(20 + l4.length + text.bytes.length, 2);
    ip[8] = 63;
    ip[9] = f.udp ? 17 : 6;
    ip4(forward ? f.client : f.server).copy(ip, 12);
    ip4(forward ? f.server : f.client).copy(ip, 16);
    const data = Buffer.concat([eth, ip, l4, text.bytes]);
    const at = 34 + l4.length;
    const name = (a) => `${[...ip4(a)].join('.')}`;
    const src = name(forward ? f.client : f.server);
    const dst = name(forward ? f.server : f.client);
    const layers = [
        { name: 'Ethernet II', offset: 0, length: 14, fields: [{ name: 'Destination', value: '3c:ec:ef:12:34:56', offset: 0, length: 6 }, { name: 'Source', value: '00:1b:21:ab:cd:ef', offset: 6, length: 6 }, { name: 'Type', value: 'IPv4 (0x0800)', offset: 12, length: 2 }] },
        { name: 'IPv4', offset: 14, length: 20, fields: [
            { name: 'Version / IHL', value: '4 / 20 bytes', offset: 14, length: 1 }, { name: 'Total length', value: String(ip.readUInt16BE(2)), offset: 16, length: 2 }, { name: 'TTL', value: '63', offset: 22, length: 1 },
            { name: 'Protocol', value: f.udp ? 'UDP (17)' : 'TCP (6)', offset: 23, length: 1 }, { name: 'Checksum', value: '0x0000, wrong', offset: 24, length: 2 }, { name: 'Source', value: src, offset: 26, length: 4 }, { name: 'Destination', value: dst, offset: 30, length: 4 } ] },
        f.udp
            ? { name: 'UDP', offset: 34, length: 8, fields: [{ name: 'Source port', value: String(sp), offset: 34, length: 2 }, { name: 'Destination port', value: String(dp), offset: 36, length: 2 }, { name: 'Length', value: String(8 + text.bytes.length), offset: 38, length: 2 }] }
            : { name: 'TCP', offset: 34, length: 20, fields: [{ name: 'Source port', value: String(sp), offset: 34, length: 2 }, { name: 'Destination port', value: String(dp), offset: 36, length: 2 }, { name: 'Sequence', value: String(1000 + i), offset: 38, length: 4 }, { name: 'Flags', value: '0x018 PSH ACK', offset: 46, length: 2 }, { name: 'Window', value: '502', offset: 48, length: 2 }] },
    ];
    if (hello) {
        layers.push({ name: 'TLS 1.3 ClientHello', offset: at, length: text.bytes.length, fields: [
            { name: 'Record version', value: 'TLS 1.0 (0x0301)', offset: at + 1, length: 2 }, { name: 'Handshake length', value: String(text.bytes.length - 9), offset: at + 6, length: 3 }, { name: 'Cipher suites', value: '3', offset: at + 46, length: 6 },
            { name: 'SNI', value: f.name, offset: at + text.sni_at, length: text.sni_length }, { name: 'ALPN', value: 'h2', offset: at + text.alpn_at, length: 3 }, { name: 'JA4', value: 't13d1516h2_8daaf6152771_b186095e22b6', offset: 0, length: 0 } ] });
    } else if (text.bytes.length) {
        layers.push({ name: 'Payload', offset: at, length: text.bytes.length, fields: [] });
    }
    const what = hello ? `TLS ClientHello sni=${f.name}` : f.udp ? `len ${text.bytes.length}` : text.bytes.length ? `PSH ACK, len ${text.bytes.length}` : 'ACK';
    return {
        id: `p-${1000 + i}`, sensor_id: SENSORS[f.s][0], time: iso(world.started - 60_000 + i * 93).replace(/000000Z$/, `${String((i * 137) % 1000).padStart(3, '0')}000Z`), interface: 'eno2', linktype: 1, wire_length: data.length + (i % 5 === 0 ? 900 : 0), captured_length: data.length, data: data.toString('base64'),
        payload_redacted: i % 5 === 0, flow_id: f.id, direction: forward ? 'PACKET_DIRECTION_FORWARD' : 'PACKET_DIRECTION_REVERSE', summary: `${f.udp ? 'UDP' : 'TCP'} ${src}:${sp} > ${dst}:${dp} | ${what}${f.udp ? '' : ` | TCP ${sp} > ${dp} [PSH ACK] seq=${sequence_of(i)} ack=1 win=502 len=${text.bytes.length}`}`, layers, reason: 'SAMPLE_REASON_RANDOM', sampling_interval: 100,
    };
}

/* -- filter: enough of AIP-160 for the tests ------------------------------------------------------------------------ */

const FIELDS = {
    app: (r) => r.app.protocol, sensor: (r) => r.sensor_id, ip: (r) => [r.client.ip, r.server.ip], name: (r) => [r.server.name, r.client.name, r.tls?.sni, ...(r.http?.hosts ?? [])], port: (r) => [r.client.port, r.server.port], 'client.ip': (r) => r.client.ip, 'server.ip': (r) => r.server.ip, 'client.port': (r) => r.client.port, 'server.port': (r) => r.server.port,
    'server.name': (r) => r.server.name, 'tls.sni': (r) => r.tls?.sni ?? '', 'tcp.state': (r) => (r.tcp?.state ?? '').replace('TCP_STATE_', '').toLowerCase(), protocol: (r) => r.ip_protocol, rtt: () => undefined, community_id: (r) => r.community_id, flow_id: (r) => r.flow_id, vlan: () => undefined, interface: (r) => r.interface,
};

class Syntax extends Error {
    constructor(message, pos) {
        super(message);
        this.pos = pos;
    }
}

export function parse_filter(text) {
    const tokens = [];
    const pattern = /\s+|"((?:[^"\\]|\\.)*)"|(!=|>=|<=|[=<>:(),])|([^\s"()=<>:!,]+)|(.)/gy;
    for (const m of text.matchAll(pattern)) {
        const pos = Buffer.byteLength(text.slice(0, m.index));
        if (m[4] !== undefined) {
            throw new Syntax(`unexpected ${JSON.stringify(m[4])}`, pos);
        }
        if (m[1] !== undefined) {
            tokens.push({ value: m[1].replace(/\\(.)/g, '$1'), pos });
        } else if (m[2] !== undefined) {
            tokens.push({ op: m[2], pos });
        } else if (m[3] !== undefined) {
            tokens.push({ value: m[3], word: true, pos });
        }
    }
    let i = 0;
    const end = Buffer.byteLength(text);
    const word = (w) => tokens[i]?.word && tokens[i].value === w;
    const or = () => {
        let left = and();
        while (word('OR')) {
            i++;
            const [a, b] = [left, and()];
            left = (r) => a(r) || b(r);
        }
        return left;
    };
    const and = () => {
        let left = not();
        while (i < tokens.length && !word('OR') && tokens[i].op !== ')') {
            if (word('AND')) {
                i++;
            }
            const [a, b] = [left, not()];
            left = (r) => a(r) && b(r);
        }
        return left;
    };
    const not = () => {
        if (word('NOT')) {
            i++;
            const inner = not();
            return (r) => !inner(r);
        }
        if (tokens[i]?.op === '(') {
            i++;
            const inner = or();
            if (tokens[i]?.op !== ')') {
                throw new Syntax('a parenthesis is not closed', tokens[i]?.pos ?? end);
            }
            i++;
            return inner;
        }
        const field = tokens[i];
        if (!field || field.op) {
            throw new Syntax(field ? `unexpected "${field.op}"` : 'the filter ends too early', field?.pos ?? end);
        }
        const [, side, key] = /^(client|server)\.labels\.(\w+)$/.exec(field.value) ?? [];
        const read = side ? (r) => r[side].labels?.[key] : Object.hasOwn(FIELDS, field.value) ? FIELDS[field.value] : null;
        if (!read) {
            throw new Syntax(`unknown field "${field.value}"`, field.pos);
        }
        i++;
        if (word('IN')) {
            i++;
            if (tokens[i]?.op !== '(') {
                throw new Syntax('a list is missing after IN', tokens[i]?.pos ?? end);
            }
            const values = [];
            do {
                i++;
                if (tokens[i]?.value === undefined) {
                    throw new Syntax('a value is missing', tokens[i]?.pos ?? end);
                }
                values.push(tokens[i++].value);
            } while (tokens[i]?.op === ',');
            if (tokens[i]?.op !== ')') {
                throw new Syntax('the list is not closed', tokens[i]?.pos ?? end);
            }
            i++;
            return (r) => [read(r)].flat().some((v) => values.includes(String(v ?? '')));
        }
        const op = tokens[i]?.op;
        if (!op || op === '(' || op === ')') {
            throw new Syntax(`a comparison is missing after ${field.value}`, tokens[i]?.pos ?? end);
        }
        i++;
        const value = tokens[i]?.value;
        if (value === undefined) {
            throw new Syntax('a value is missing', tokens[i]?.pos ?? end);
        }
        i++;
        return (r) => {
            const v = read(r);
            if (Array.isArray(v)) {
                const any = v.some((one) => (op === ':' ? String(one ?? '').toLowerCase().includes(value.toLowerCase()) : String(one ?? '') === value));
                return any === (op !== '!='); /* either side: none of both */
            }
            if (op === ':') {
                return String(v ?? '').toLowerCase().includes(value.toLowerCase());
            }
            if (op === '=' || op === '!=') {
                const same = value.includes('/') && field.value.endsWith('.ip') ? String(v).startsWith(value.split('/')[0].replace(/(\.0)+$/, '.')) : String(v ?? '') === value;
                return same === (op === '=');
            }
            const [a, b] = [Number(v), Number(value)];
            return op === '>' ? a > b : op === '<' ? a < b : op === '>=' ? a >= b : a <= b;
        };
    };
    if (tokens.length === 0) {
        return () => true;
    }
    const tree = or();
    if (i < tokens.length) {
        throw new Syntax(`unexpected "${tokens[i].op ?? tokens[i].value}"`, tokens[i].pos);
    }
    return tree;
}

/* Unix ms, or RFC 3339 as the methods of netscope.v1 have it. */
const time_of = (text, otherwise) => (text === null ? otherwise : /^\d+$/.test(text) ? Number(text) : Date.parse(text));

/* As GetServiceMap answers, of at most 40 edges. */
function service_map(records, group_by) {
    const [nodes, edges] = [new Map(), new Map()];
    const node = (kind, name) => {
        const id = `${kind}:${name}`;
        nodes.set(id, { id, kind, name, other: false, members: 1 });
        return id;
    };
    const [, key] = /^labels\.(\w+)$/.exec(group_by ?? '') ?? [];
    for (const r of records) {
        const client = key ? node('network', r.client.labels?.[key] ?? '') : node('host', r.client.ip);
        const name = group_by === 'application' ? r.app.protocol : group_by === 'server_name' ? r.server.name : '';
        const server = key ? node('network', r.server.labels?.[key] ?? '') : group_by === 'application' ? node('application', name) : name ? node('server_name', name) : node('host', r.server.ip);
        const e = edges.get(`${client} ${server}`) ?? { client, server, forward: 0, reverse: 0, flows: 0 };
        e.forward += Number(r.forward.total_bytes);
        e.reverse += Number(r.reverse.total_bytes);
        e.flows++;
        edges.set(`${client} ${server}`, e);
    }
    const sorted = [...edges.values()].sort((a, b) => b.forward + b.reverse - a.forward - a.reverse);
    const shown = sorted.slice(0, 40);
    const rest = sorted.slice(40);
    const answer = shown.map((e, i) => ({
        client: e.client, server: e.server, bytes_forward: String(e.forward), bytes_reverse: String(e.reverse), new_flows: String(e.flows),
        ...(i % 3 === 0 ? {} : { error_rate: i === 4 ? 0.2 : 0, retransmit_ratio: i === 1 ? 0.05 : 0.001, rtt: `0.0${10 + i}s` }), other: false, members: 1,
    }));
    if (rest.length > 0) {
        nodes.set('other', { id: 'other:host', kind: 'host', name: 'other', other: true, members: 0 });
        answer.push({ client: 'other:host', server: 'other:host', bytes_forward: String(rest.reduce((n, e) => n + e.forward, 0)), bytes_reverse: '0', new_flows: '1', other: true, members: rest.length });
    }
    return {
        nodes: [...nodes.values()], edges: answer, nodes_total: nodes.size, edges_total: sorted.length, matched: String(records.length), scanned: String(records.length),
        truncated: false, truncated_reason: '', took: '0.003s', coverage: { complete: true, sensors_asked: 3, sensors_answered: 3 },
    };
}

/* -- REST ------------------------------------------------------------------------------------------------ */

function rest(world, control, path, q) {
    const { now } = world;
    const to = time_of(q.get('to'), now());
    const from = time_of(q.get('from'), to - 900_000);
    if (!(from < to)) {
        return problem(400, 'from must be before to', 'BAD_PARAMETER');
    }
    const known = (t) => !world.empty && t >= world.first_ms && t < now() + 1000;
    const filter_text = q.get('filter') ?? '';
    let matches = () => true;
    try {
        matches = parse_filter(filter_text);
    } catch (error) {
        return { ...problem(400, error.message, 'INVALID_FILTER', error.pos) };
    }
    const records = () => (world.empty ? [] : world.flows.filter((f) => { const t = world.flow_times(f); return t.begin <= to && t.end >= from; }).map(world.record).filter(matches));
    const meta = { took_ms: 3.2, quality: 'exact' };

    if (path === '/v1/summary') {
        const t = Math.min(to, now());
        const s = Math.max(1, (Math.min(to, now()) - Math.max(from, world.first_ms)) / 1000);
        const totals = world.totals(t);
        const talkers = [];
        APPS.forEach(([app], a) => {
            const hosts = HOSTS[app];
            const v = ((world.app_bps(a, t, false) + world.app_bps(a, t, true)) * s) / 8;
            SENSORS.forEach(([id, , , share], k) => hosts.forEach((host, h) => talkers.push({ sensor: id, app, host, bytes: Math.round((v * share * (0.3 + noise(k * 31 + a, h))) / hosts.length) })));
        });
        talkers.sort((a, b) => b.bytes - a.bytes);
        const rest_bytes = talkers.slice(60).reduce((n, x) => n + x.bytes, 0);
        return ok({
            from_ms: from, to_ms: to, totals: { bytes: ((totals.bps_in + totals.bps_out) * s) / 8, packets: Math.round(totals.pps * s), flows_active: totals.flows, new_flows: Math.round(totals.new_ps * s), rtt_ms: totals.rtt_ms, loss_ppm: totals.loss_ppm },
            top_apps: APPS.map(([name], a) => ({ name, bytes_in: (world.app_bps(a, t, false) * s) / 8, bytes_out: (world.app_bps(a, t, true) * s) / 8 })),
            talkers: world.empty ? [] : [...talkers.slice(0, 60), { sensor: '', app: '', host: '', bytes: Math.round(rest_bytes * 0.3) }], open_alerts: world.alerts.filter((a) => !a.closed).length, sensors_total: SENSORS.length, sensors_stale: 1, matched: 1, scanned: 1, ...meta,
        });
    }
    if (path === '/v1/timeseries') {
        const wanted = Number(q.get('step') ?? 1000);
        const step = Math.max(1000, Math.ceil(wanted / 1000) * 1000);
        const metric = q.get('metric');
        const by = q.get('by') ?? 'none';
        const t = [];
        for (let at = Math.floor(from / step) * step; at < to; at += step) {
            t.push(at);
        }
        const column = (f) => t.map((at) => (known(at + step / 2) ? f(at + step / 2) : null));
        if (filter_text) {
            const list = records();
            if (!control.filtered_series || !['bps', 'pps', 'new_flows'].includes(metric)) {
                return problem(501, 'no filter on this metric', 'UNIMPLEMENTED');
            }
            const spans = list.map((r) => ({ from: Date.parse(r.start_time.slice(0, 23) + 'Z'), to: Date.parse(r.end_time.slice(0, 23) + 'Z'), a: Number(r.forward.total_bytes), b: Number(r.reverse.total_bytes) }));
            const rate = (side) => column((at) => spans.reduce((n, s, i) => (at + step / 2 >= s.from && at - step / 2 <= s.to ? n + ((side === 'in' ? s.b : s.a) * 8000 * wave(i, at / 1000)) / Math.max(1000, s.to - s.from) : n), 0) / (metric === 'bps' ? 1 : metric === 'pps' ? 8000 : 1e6));
            return ok({ step_ms: step, t, series: [{ key: 'total', in: rate('in'), out: rate('out') }], ...meta });
        }
        let series = [];
        const of = SENSORS.findIndex(([id]) => id === q.get('sensor'));
        if (q.has('sensor')) {
            const figure = { loss: (at) => world.sensor_loss(of, at), pps: (at) => (world.sensor_bps(of, at) ?? NaN) / 9240, flows: () => 4800 }[metric] ?? ((at) => (world.sensor_bps(of, at) ?? NaN) / 2);
            const known_of = (at) => (world.sensor_bps(of, at) === null ? null : figure(at));
            series = of < 0 ? [] : [{ key: 'total', in: column(known_of), ...(metric === 'bps' ? { out: column(known_of) } : {}) }];
        } else if (by === 'app' && metric === 'bps') {
            series = APPS.map(([key], a) => ({ key, in: column((at) => world.app_bps(a, at, false)), out: column((at) => world.app_bps(a, at, true)) }));
        } else if (by === 'sensor') {
            series = SENSORS.map(([key], s) => (metric === 'loss' ? { key, in: column((at) => world.sensor_loss(s, at)) } : { key, in: column((at) => world.sensor_side(s, at, false)), out: column((at) => world.sensor_side(s, at, true)) }));
        } else if (by === 'site' && metric === 'bps') {
            series = SITES.slice(1).map((key) => ({ key, in: column((at) => world.site_side(key, at, false)), out: column((at) => world.site_side(key, at, true)) }));
        } else {
            const pick = { bps: ['bps_in', 'bps_out'], pps: ['pps'], flows: ['flows'], new_flows: ['new_ps'], rtt: ['rtt_ms'], loss: ['loss_ppm'] }[metric];
            if (!pick) {
                return problem(400, `unknown metric ${metric}`, 'BAD_PARAMETER');
            }
            series = [{ key: 'total', in: column((at) => world.totals(at)[pick[0]]), ...(pick[1] ? { out: column((at) => world.totals(at)[pick[1]]) } : {}) }];
        }
        return ok({ step_ms: step, t, series: world.empty ? [] : series, ...meta });
    }
    if (path === '/v1/assets') {
        return q.get('search')?.length > 64 ? problem(400, 'search: at most 64 bytes', 'OUT_OF_BOUNDS') : ok(list_assets(q, now()));
    }
    if (path === '/v1/map') {
        return ok(service_map(records(), q.get('group_by') || 'host'));
    }
    /* each sensor's own row instead of one for all */
    const each_sensor = (r) => (r.observers ?? [r]).map((o) => ({ ...r, sensor_id: o.sensor_id, flow_id: o.flow_id, observers: undefined }));
    const dedup = q.get('dedup') ?? 'MERGED';
    if (path === '/v1/hosts' || path === '/v1/services' || path === '/v1/query:aggregate') {
        const answer = path.endsWith('aggregate') ? aggregate(records(), q, from, to, control) : list_parties(records(), q, from, to, control, path === '/v1/services');
        if (q.get('peer_of') && !/^[0-9a-fA-F:.]+$/.test(q.get('peer_of'))) {
            return problem(400, `peer_of: '${q.get('peer_of')}' is no IPv4 or IPv6 address`, 'OUT_OF_BOUNDS');
        }
        return answer ? ok(answer) : problem(400, 'unknown order or group', 'OUT_OF_BOUNDS');
    }
    if (path === '/v1/flows') {
        const list = dedup === 'ALL' ? records().flatMap(each_sensor) : records();
        const [name, way] = (q.get('order_by') ?? 'end_time desc').split(' ');
        const total = (r) => Number(r.forward.total_bytes) + Number(r.reverse.total_bytes);
        const keys = {
            end_time: (r) => r.end_time, start_time: (r) => r.start_time, bytes: total, packets: (r) => Number(r.forward.total_packets) + Number(r.reverse.total_packets), rate: (r) => Number(r.forward.delta_bytes) + Number(r.reverse.delta_bytes),
            rtt: (r) => parseFloat(r.tcp?.server_rtt?.mean ?? '0'), retransmits: (r) => Number(r.tcp?.reverse?.retransmitted_segments ?? 0), duration: (r) => Date.parse(r.end_time) - Date.parse(r.start_time),
        };
        if (!keys[name]) {
            return problem(400, `unknown order ${name}`, 'BAD_PARAMETER');
        }
        list.sort((a, b) => { const [x, y] = [keys[name](a), keys[name](b)]; return (x < y ? -1 : x > y ? 1 : 0) * (way === 'asc' ? 1 : -1); });
        const size = Math.min(1000, Number(q.get('page_size') ?? 100));
        const start = Number(q.get('page_token') || 0);
        return ok({ flows: list.slice(start, start + size), next_page_token: start + size < list.length ? String(start + size) : '', matched: list.length, scanned: world.flows.length, dedup, ...meta });
    }
    if (path.startsWith('/v1/flows/')) {
        const id = decodeURIComponent(path.slice(10));
        const f = world.flows.find((x) => x.id === id || (x.n % 5 === 1 && world.other_id(x) === id));
        const own = f && world.record(f);
        return f ? ok({ ...own, ...(own.observers?.find((o) => o.flow_id === id && !o.primary) ? { flow_id: id, sensor_id: own.observers[1].sensor_id } : {}) }) : problem(404, 'no such flow', 'NO_SUCH_FLOW');
    }
    if (path === '/v1/facets') {
        const list = records();
        const facet = (read) => {
            const sums = new Map();
            for (const r of list) {
                const v = read(r);
                if (v) {
                    sums.set(v, (sums.get(v) ?? 0) + Number(r.forward.total_bytes) + Number(r.reverse.total_bytes));
                }
            }
            return [...sums].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([value, bytes]) => ({ value: String(value), bytes }));
        };
        return ok({ application: facet((r) => r.app.protocol), sensor: facet((r) => r.sensor_id), tcp_state: facet((r) => (r.tcp?.state ?? '').replace('TCP_STATE_', '').toLowerCase()), server_port: facet((r) => r.server.port), ...meta });
    }
    if (path === '/v1/filter:check') {
        return ok({ ok: true });
    }
    if (path === '/v1/sensors' || path.startsWith('/v1/fleet/sensors/')) {
        const sensors = world.empty ? [] : SENSORS.map(([sensor_id, name, site], i) => {
            const bytes = Math.round((world.sensor_bps(i, now()) ?? 0) * 3000);
            return {
                sensor_id, name, site, state: name === 'gru-1' ? 'STALE' : 'LIVE', version: name === 'lab-7' ? '0.0.9' : '0.1.0', boot_id: hex(0xabc0 + i, 8), connected_time: iso(world.started - 3.6e6 * (i + 2)), last_seen_time: iso(now() - (name === 'gru-1' ? 9000 : 400)),
                packets_total: String(Math.round(bytes / 900)), bytes_total: String(bytes), kernel_dropped: name === 'sgp-1' ? String(Math.round(bytes / 900 / 244)) : '0', interface_dropped: '0', flows_active: Math.round(4800 * wave(60 + i, now() / 1000)), unacked: name === 'gru-1' ? 1840 : 2, clock_offset_ms: Math.round((noise(70, i) - 0.5) * 40) / 10, config_hash: createHash('sha256').update(name).digest('hex'),
                desired_config: DESIRED[name] ?? null,
            };
        });
        if (path === '/v1/sensors') {
            return ok({ sensors });
        }
        const found = sensors.find((row) => row.sensor_id === decodeURIComponent(path.slice('/v1/fleet/sensors/'.length)));
        return found ? ok(sensor_record(found, now())) : problem(404, 'sensor: never seen here', 'NO_SUCH_SENSOR');
    }
    if (path === '/v1/ledger') {
        const row = (stage, unit, n, lost) => ({ stage: `LEDGER_STAGE_${stage}`, name: '', unit, in: String(n), out: String(n - lost), held: '0', packets_in: '0', packets_out: '0', lost: lost > 0 ? [{ reason: 'duplicate', count: String(lost) }] : [] });
        return ok({ rows: [row('INGEST', 'records', 9000, 12), row('STORE', 'records', 8988, 0), row('FEED', 'frames', 600, 0)], balanced: true, sensors: SENSORS.map(([sensor_id]) => ({ sensor_id, time: iso(now()), rows: [row('CAPTURE', 'packets', 70000, 0), row('DECODE', 'packets', 70000, 31)] })) });
    }
    if (path === '/v1/alerts') {
        const list = world.empty ? [] : world.alerts.filter((a) => q.get('state') !== 'open' || !a.closed).map(world.alert_record);
        return ok({ alerts: list, notes: list.map((a) => world.triage.note(a, now())).filter(Boolean), next_page_token: '', matched: list.length, ...meta });
    }
    if (path === '/v1/packets') {
        const count = 400 + Math.floor((now() - world.started) / 700);
        const limit = Math.min(2000, Number(q.get('limit') ?? 200));
        const list = [];
        for (let i = count - 1; i >= 0 && list.length < limit && !world.empty; i--) {
            const p = make_packet(world, i);
            if ((!q.get('sensor_id') || p.sensor_id === q.get('sensor_id')) && (!q.get('flow_id') || p.flow_id === q.get('flow_id'))) {
                list.push({ id: p.id, sensor_id: p.sensor_id, time: p.time, summary: p.summary, wire_length: p.wire_length, captured_length: p.captured_length, flow_id: p.flow_id, direction: p.direction });
            }
        }
        return ok({ packets: list, held: count, received: count + 81_234, took_ms: 0.4 });
    }
    if (path.startsWith('/v1/packets/')) {
        const i = Number(path.slice(14)) - 1000;
        return Number.isInteger(i) && i >= 0 ? ok(make_packet(world, i)) : problem(404, 'no longer held; the oldest is p-1000', 'NO_SUCH_PACKET');
    }
    if (['/healthz', '/readyz', '/api/health'].includes(path)) {
        return { status: 200, type: 'text/plain', body: 'ok\n' };
    }
    return problem(404, `nothing at ${path}`, 'NO_SUCH_PATH');
}

const ok = (body) => ({ status: 200, type: 'application/json', body: JSON.stringify(body) });
function problem(status, detail, reason, pos) {
    return { status, type: 'application/problem+json', body: JSON.stringify({ type: 'about:blank', title: 'Error', status, detail, reason, ...(pos === undefined ? {} : { pos }), request_id: 'r-1' }) };
}

/* -- WebSocket (RFC 6455), just enough -------------------------------------------------------------------------------- */

function send_text(socket, text) {
    const payload = Buffer.from(text);
    const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : payload.length < 65536 ? Buffer.from([0x81, 126, payload.length >> 8, payload.length & 255]) : Buffer.concat([Buffer.from([0x81, 127, 0, 0, 0, 0]), Buffer.from([payload.length >>> 24, (payload.length >> 16) & 255, (payload.length >> 8) & 255, payload.length & 255])]);
    if (!socket.destroyed) {
        socket.write(Buffer.concat([head, payload]));
    }
}

function reader(on_text, on_close) {
    let pending = Buffer.alloc(0);
    return (chunk) => {
        pending = Buffer.concat([pending, chunk]);
        while (pending.length >= 6) {
            const opcode = pending[0] & 15;
            let length = pending[1] & 127;
            let at = 2;
            if (length === 126) {
                length = pending.readUInt16BE(2);
                at = 4;
            }
            if (pending.length < at + 4 + length) {
                return;
            }
            const mask = pending.subarray(at, at + 4);
            const data = Buffer.from(pending.subarray(at + 4, at + 4 + length));
            data.forEach((b, i) => (data[i] = b ^ mask[i & 3]));
            pending = pending.subarray(at + 4 + length);
            if (opcode === 8) {
                on_close();
                return;
            }
            if (opcode === 1) {
                on_text(data.toString());
            }
        }
    };
}

function frame_for(world, sub, seq, win_ms, changed, boot) {
    const t = world.now();
    const f = { t: 'frame', seq, boot, rev: 1, ts_ms: t, win_ms, merged: 1 };
    const mid = t - win_ms / 2;
    if (sub.topics.totals) {
        f.totals = world.empty ? { bps_in: null, bps_out: null, pps: null, flows: null, new_ps: null, rtt_ms: null, loss_ppm: null, cum: {} } : { ...world.totals(mid), cum: { bytes: Math.round(t), packets: Math.round(t / 900), kernel_dropped: 0, interface_dropped: 0 } };
    }
    if (sub.topics.by && !world.empty) {
        const { dim } = sub.topics.by;
        const keys = { app: APPS.map((_, i) => i), sensor: SENSORS.map((_, i) => i), site: SITES.map((_, i) => i).slice(1) }[dim];
        const rate = (k, out) => (dim === 'app' ? world.app_bps(k, mid, out) : dim === 'sensor' ? world.sensor_side(k, mid, out) : world.site_side(SITES[k], mid, out)) ?? 0;
        f.by = { dim, k: keys, in: keys.map((k) => rate(k, false)), out: keys.map((k) => rate(k, true)) };
    }
    if (sub.topics.sensors && !world.empty) {
        f.sensors = { id: SENSORS.map((_, i) => i), st: SENSORS.map((s) => (s[1] === 'gru-1' ? 1 : 0)), bps: SENSORS.map((_, i) => world.sensor_bps(i, mid)), pps: SENSORS.map((_, i) => world.sensor_bps(i, mid) / 9000), loss_ppm: SENSORS.map((_, i) => world.sensor_loss(i, mid)), drops: { kernel: SENSORS.map(() => 0), interface: SENSORS.map(() => 0) } };
    }
    if (sub.topics.flows && !world.empty) {
        let list = world.flows.filter((x) => !x.ended);
        if (sub.topics.flows.filter) {
            const matches = parse_filter(sub.topics.flows.filter);
            list = list.filter((x) => matches(world.record(x)));
        }
        list = list.map((x) => [x, world.flow_bps(x, t)]).sort((a, b) => b[1] - a[1]).slice(0, sub.topics.flows.top ?? 50);
        const col = (read) => list.map(([x, v]) => read(x, v));
        f.flows = {
            id: col((x) => x.id), sensor: col((x) => x.s), proto: col((x) => (x.udp ? 17 : 6)), app: col((x) => APPS.findIndex((a) => a[0] === x.app)), src: col((x) => x.client), sport: col((x) => x.cport), dst: col((x) => x.server), dport: col((x) => x.port), name: col((x) => x.name), bps: col((_x, v) => v),
            bytes_ab: col((x) => Math.round(x.bytes * (1 - x.share_in))), bytes_ba: col((x) => Math.round(x.bytes * x.share_in)), rtt_ms: col((x) => (x.udp ? null : x.rtt)), retr: col((x) => (x.udp ? null : x.retr)), st: col((x) => (x.udp ? 0 : STATES.indexOf(x.state))),
        };
    }
    if (sub.topics.alerts) {
        f.alerts = { open: world.empty ? 0 : world.alerts.filter((a) => !a.closed).length, said: world.triage.said, changed, notes: changed.map((a) => world.triage.note(a, world.now())).filter(Boolean) };
    }
    return f;
}

/* Starts it on `port` (0: any). The returned object can lose clients, break frames and answer slowly. */
export function fake_collector(options = {}) {
    const world = make_world(options);
    const dist = options.dist ?? join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
    const clients = new Set();
    const control = { refuse: false, silent: false, slow_ms: 0, broken_frames: 0, clock_skew_ms: options.skew_ms ?? 0, filtered_series: true, capture: true, truncated: false, trouble: false, requests: [], connections: 0, acks: 0, access: null };
    const access = (control.access = fake_access(options.users, () => clients));
    const boot = options.boot ?? 'b00t-1';
    const manifest = new Map();
    if (existsSync(join(dist, 'manifest.txt'))) {
        for (const line of readFileSync(join(dist, 'manifest.txt'), 'utf8').trim().split('\n')) {
            const [path, type, immutable] = line.split('\t');
            manifest.set(`/${path}`, { file: join(dist, path), type, immutable: immutable === '1' });
        }
    }
    const server = createServer((request, response) => {
        const url = new URL(request.url, 'http://localhost');
        control.requests.push(request.url);
        const headers = { 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer', 'cross-origin-opener-policy': 'same-origin', 'content-security-policy': CSP };
        const asset = manifest.get(url.pathname === '/' ? '/index.html' : url.pathname);
        if (asset) {
            const encodings = request.headers['accept-encoding'] ?? '';
            const suffix = encodings.includes('br') ? 'br' : encodings.includes('gzip') ? 'gz' : '';
            response.writeHead(200, { ...headers, 'content-type': asset.type, 'cache-control': asset.immutable ? 'public, max-age=31536000, immutable' : 'no-cache', vary: 'Accept-Encoding', ...(suffix ? { 'content-encoding': suffix === 'br' ? 'br' : 'gzip' } : {}) });
            response.end(readFileSync(asset.file + (suffix ? `.${suffix}` : '')));
            return;
        }
        const reply = (answer) =>
            setTimeout(() => {
                response.writeHead(answer.status, { ...headers, ...answer.headers, 'content-type': answer.type, 'cache-control': 'no-store' });
                response.end(answer.body);
            }, control.slow_ms);
        if (access.answer(request, url.pathname, reply)) {
            return;
        }
        if (/^\/v1\/(silences|alerts:|captures)/.test(url.pathname)) {
            let text = '';
            request.on('data', (part) => (text += part));
            request.on('end', () => {
                const forbidden = request.method !== 'GET' && !request.headers['x-netscope'];
                if (!forbidden && url.pathname.startsWith('/v1/captures')) {
                    reply(world.captures.answer(request.method, url.pathname, JSON.parse(text || '{}'), world.now()) ?? { status: 404, type: 'application/problem+json', body: '{}' });
                    return;
                }
                const records = world.empty ? [] : world.alerts.map(world.alert_record);
                reply((forbidden ? null : world.triage.answer(url.pathname, JSON.parse(text || '{}'), records, world.now())) ?? { status: forbidden ? 403 : 404, type: 'application/problem+json', body: '{}' });
            });
            return;
        }
        reply(url.pathname === '/v1/status' ? ok(collector_status(world, control, [...clients], boot)) : rest(world, control, url.pathname, url.searchParams));
    });
    server.on('upgrade', (request, socket) => {
        const key = request.headers['sec-websocket-key'];
        const origin = request.headers.origin;
        if (control.refuse || !access.may(request, 'flows') || !key || !(request.headers['sec-websocket-protocol'] ?? '').includes('live.v1.json') || (origin && new URL(origin).host !== request.headers.host)) {
            socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
            return;
        }
        const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: live.v1.json\r\n\r\n`);
        const client = { socket, seq: 0, timer: undefined };
        clients.add(client);
        control.connections++;
        const done = () => {
            clearInterval(client.timer);
            clients.delete(client);
            socket.destroy();
        };
        const server_ms = () => world.now() + control.clock_skew_ms;
        socket.on('error', done);
        socket.on('close', done);
        send_text(socket, JSON.stringify({
            t: 'hello', v: 1, boot, server: 'collector-1', version: '0.1.0', now_ms: server_ms(), tick_ms: 1000, min_tick_ms: 33, history: [{ step_ms: 1000, span_s: 900 }, { step_ms: 60000, span_s: 2592000 }],
            data: world.empty ? null : { from_ms: world.first_ms, to_ms: world.now() }, caps: { capture: control.capture && access.may(request, 'packets'), packets: access.may(request, 'packets'), ack: access.may(request, 'triage'), filtered_series: control.filtered_series }, user: access.who(request), dict_rev: 1,
        }));
        send_text(socket, JSON.stringify({ t: 'dict', rev: 1, app: APPS.map(([name, slot]) => [name, slot]), sensor: SENSORS.map(([id, name, site]) => [id, name, site]), site: SITES, state: STATES, sev: ['', 'INFO', 'LOW', 'MEDIUM', 'HIGH', 'CRITICAL'] }));
        socket.on('data', reader((text) => {
            const received = server_ms();
            const m = JSON.parse(text);
            if (control.silent) {
                return; /* as one that hangs */
            }
            if (m.t === 'ping') {
                send_text(socket, JSON.stringify({ t: 'pong', id: m.id, c: m.c, r: received, s: server_ms() }));
            } else if (m.t === 'ack') {
                control.acks++;
            } else if (m.t === 'sub') {
                try {
                    parse_filter(m.topics.flows?.filter ?? '');
                } catch (error) {
                    send_text(socket, JSON.stringify({ t: 'err', code: 'INVALID_FILTER', msg: error.message, pos: error.pos, ref: m.id }));
                    return;
                }
                client.seq = 0;
                clearInterval(client.timer);
                const win_ms = Math.max(33, 1000 / m.rate_hz);
                const tick = () => {
                    if (control.silent) {
                        return;
                    }
                    const f = frame_for(world, m, ++client.seq, win_ms, client.seq === 1 && !world.empty ? [] : [], boot);
                    f.ts_ms += control.clock_skew_ms;
                    if (control.broken_frames > 0) {
                        control.broken_frames--;
                        if (f.sensors) {
                            f.sensors.bps.pop();
                        } else {
                            f.ts_ms = null;
                        }
                    }
                    send_text(socket, JSON.stringify(f));
                };
                tick();
                if (!options.frozen) {
                    client.timer = setInterval(tick, win_ms);
                }
            }
        }, done));
    });
    return new Promise((resolve) => {
        server.listen(options.port ?? 0, '127.0.0.1', () => {
            resolve({
                url: `http://127.0.0.1:${server.address().port}`, world, control,
                /* retry_ms: told as the time after which to come back; without it they are cut off */
                lose_clients(retry_ms = 0) {
                    for (const c of [...clients]) {
                        if (retry_ms > 0) {
                            send_text(c.socket, JSON.stringify({ t: 'bye', reason: 'shutdown', retry_ms }));
                            c.socket.end();
                        } else {
                            c.socket.destroy();
                        }
                    }
                },
                close() {
                    for (const c of [...clients]) {
                        c.socket.destroy();
                    }
                    return new Promise((done) => {
                        server.close(done);
                        server.closeAllConnections?.();
                    });
                },
            });
        });
    });
}

/* bundled into a test this file has another name */
if (process.argv[1]?.endsWith('fake_server.mjs') && process.argv[1] === fileURLToPath(import.meta.url)) {
    const value = (name) => {
        const i = process.argv.indexOf(name);
        return i < 0 ? undefined : process.argv[i + 1];
    };
    const fake = await fake_collector({
        port: Number(value('--port') ?? 8090), dist: value('--dist'), now: value('--now') === undefined ? undefined : Number(value('--now')),
        frozen: process.argv.includes('--frozen'), empty: process.argv.includes('--empty'),
    });
    console.log(fake.url);
}
