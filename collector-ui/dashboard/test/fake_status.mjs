/* The fake collector's GetCollectorStatus: counters that grow with the clock. */

const iso = (ms) => new Date(ms).toISOString().replace('Z', '000000Z');

export function collector_status(world, control, clients, boot) {
    const now = world.now();
    const s = (now - world.started) / 1000 + 3600;
    const n = (value) => String(Math.round(value));
    const trouble = Boolean(control.trouble);
    const day = (ago, bytes) => ({ date: iso(now - ago * 86_400_000).slice(0, 10), bytes: n(bytes), oldest_time: iso(now - ago * 86_400_000 - 3.6e6), newest_time: iso(now - ago * 86_400_000) });
    return {
        version: '0.1.0', boot_id: boot, host_name: 'collector-1', start_time: iso(now - s * 1000), time: iso(now),
        process: { resident_bytes: '184000000', memory_limit_bytes: '4000000000', cpu_time: `${(s * 0.31).toFixed(3)}s`, cpus: 4 },
        ingest: {
            connections: n(world.empty ? 0 : 12), batches: n(s * 48), records: n(s * 5200), duplicates: '31', told_lost: n(trouble ? 240 : 0), returned: '0', refused: '2', elsewhere: '0', backlog_bytes: n(trouble ? 9e7 : 4.2e5),
            log_bytes: '268435456', log_errors: n(trouble ? 3 : 0), log_failing: trouble, throttled: n(trouble ? 4 : 0), draining: false,
        },
        store: {
            bytes: '9420000000', days: [6, 5, 4, 3, 2, 1, 0].map((ago) => day(ago, 1.1e9 + 3e8 * Math.sin(ago * 2))), retention: '604800s', retention_bytes: '21474836480', queue_batches: n(trouble ? 512 : 1),
            streams: [['flows', 4100], ['alerts', 0.2], ['stats', 12], ['packets', 900]].map(([name, rate]) => ({ name, rows: n(s * rate) })), records: n(s * 5200), duplicates: '0', undecodable: '0', not_kept: '0', files_set_aside: '0',
            failure: trouble ? 'history: day-2026-11-30.db: disk is full' : '', sums: [{ step: '1s', keep: '86400s' }, { step: '60s', keep: '5184000s' }, { step: '3600s', keep: '31536000s' }],
        },
        queries: { total: n(s * 1.4), partial: '3', cancelled: '11', refused: '0', running: 1, running_max: 2, waiting: 0, waiting_max: 64, measured: 256, p50: '0.004s', p95: '0.212s', p99: '0.840s', longest: '2.100s' },
        live: {
            clients: clients.map((c, i) => ({ user: i === 0 ? 'ada' : '', connected_time: iso(world.started), interval: '1s', frames: n(c.seq), unacked: n(trouble ? 9 : 1), lag: trouble ? '8.400s' : '0.350s', queued_bytes: n(trouble ? 240_000 : 0), behind: trouble })),
            clients_total: clients.length, clients_max: 64, frames: n(s * clients.length), merged: '2', lost: '0', resyncs: '0', refused: '0',
        },
        receivers: world.empty ? [] : [{ name: 'pager', failing: trouble, waiting: n(trouble ? 7 : 0), sent: '42', silenced: '3', refused: '0', expired: '0', dropped: '0', retries: n(trouble ? 19 : 0) }, { name: 'siem', failing: false, waiting: '0', sent: '180', silenced: '0', refused: '0', expired: '0', dropped: '0', retries: '0' }],
        clickhouse: {
            failing: trouble, reason: trouble ? 'it answers 503' : '', waiting: n(trouble ? 91000 : 120), waiting_known: true, inserted: n(s * 4100), refused: '0', undecodable: '0', dropped: '0', retries: n(trouble ? 5 : 0), asked: true, questions: '14',
            records_read: '812000', questions_failed: n(trouble ? 2 : 0), questions_failing: trouble, questions_reason: trouble ? 'Connection refused' : '',
        },
        clickhouse_others: [
            { stream: 'alerts', failing: trouble, reason: trouble ? 'Table netscope.alerts does not exist' : '', waiting: n(trouble ? 12 : 0), waiting_known: true, inserted: '42', refused: '0', undecodable: '0', dropped: n(trouble ? 3 : 0) },
            { stream: 'stats', failing: false, reason: '', waiting: '1', waiting_known: true, inserted: n(s * 3), refused: '0', undecodable: '0', dropped: '0' },
        ],
        api: { streams: '2', records_sent: n(s * 900), records_dropped: '0', requests: n(s * 3), requests_refused: '1', logins_refused: '0', server_errors: '0', bytes_sent: n(s * 9e4) },
    };
}
