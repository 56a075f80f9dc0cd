/* Captures, as a collector keeps them (docs/api.md "Captures that are kept"), in memory. A capture grows with the clock and ends with its time; the sensor gru-1 refuses. */
const iso = (ms) => new Date(ms).toISOString();

const REFUSAL = "sensor 's-gru-1': this sensor does not capture for its collector (collector.captures)";

export class FakeCaptures {
    constructor() {
        this.list = [];
        this.made = 0;
    }

    state_of(c, now) {
        const until = c.cancelled_ms ?? c.start_ms + c.seconds * 1000;
        const is_over = now >= until;
        const bytes = Math.min(c.max_bytes, 108 + Math.floor((Math.min(now, until) - c.start_ms) / 10) * 1500);
        return {
            capture_id: c.capture_id, sensor_id: c.sensors[0], alert_id: c.asked.alert_id ?? '', sensors: c.sensors.map((id) => this.sensor_of(c, id, is_over)), bpf: c.bpf, interface: c.interface, max_bytes: String(c.max_bytes), requester: 'ada', start_time: iso(c.start_ms),
            state: is_over ? 'CAPTURE_STATE_ENDED' : 'CAPTURE_STATE_RUNNING', bytes: String(bytes),
            ...(is_over ? { end_time: iso(until), summary: { packets: String(Math.floor(bytes / 1500)), bytes: String(bytes), dropped: String(c.dropped ?? 0), reason: c.cancelled_ms ? 'cancelled' : 'max_duration' } } : {}),
        };
    }

    sensor_of(c, id, is_over) {
        return id === 's-gru-1' ? { sensor_id: id, state: 'CAPTURE_STATE_FAILED', error: REFUSAL } : { sensor_id: id, state: is_over ? 'CAPTURE_STATE_ENDED' : 'CAPTURE_STATE_RUNNING', error: '' };
    }

    /* null: another path. */
    answer(method, path, body, now) {
        const ok = (v) => ({ status: 200, type: 'application/json', body: JSON.stringify(v) });
        const bad = (status, reason, detail) => ({ status, type: 'application/problem+json', body: JSON.stringify({ status, detail, reason }) });
        if (path === '/v1/captures' && method === 'GET') {
            return ok({ captures: this.list.map((c) => this.state_of(c, now)) });
        }
        if (path === '/v1/captures' && method === 'POST') {
            const sensors = body.sensor_selector?.sensor_ids ?? (body.sensor_id ? [body.sensor_id] : body.alert_id ? ['s-fra-1', 's-ams-1'] : []);
            if (sensors.every((id) => id === 's-gru-1')) {
                return bad(400, 'CAPTURE_OFF', REFUSAL);
            }
            if (/\($/.test(body.bpf ?? '')) {
                return bad(400, 'INVALID_FILTER', `sensor '${sensors[0]}': cannot compile '${body.bpf}' for EN10MB: syntax error`);
            }
            const c = {
                capture_id: String(++this.made).padStart(32, '0'), sensors, bpf: body.alert_id ? 'host 198.51.100.7 and host 10.0.0.9' : (body.bpf ?? ''), interface: body.interface ?? '', max_bytes: Number(body.max_bytes ?? 256e6),
                seconds: parseInt(body.max_duration ?? '3600', 10), start_ms: now, asked: body,
            };
            this.list.unshift(c);
            return ok({ capture: this.state_of(c, now) });
        }
        const found = /^\/v1\/captures\/([0-9a-f]{32})(:cancel|\.pcapng)?$/.exec(path);
        const c = found && this.list.find((one) => one.capture_id === found[1]);
        if (found && !c) {
            return bad(404, 'NO_SUCH_CAPTURE', 'no capture with this id is kept');
        }
        if (found && found[2] === '.pcapng') {
            return { status: 200, type: 'application/x-pcapng', body: '\x0a\x0d\x0d\x0a' };
        }
        if (found && found[2] === ':cancel' && method === 'POST') {
            c.cancelled_ms ??= now;
            return ok({ capture: this.state_of(c, now) });
        }
        if (found && method === 'DELETE') {
            this.list = this.list.filter((one) => one !== c);
            return ok({});
        }
        return found ? ok({ capture: this.state_of(c, now) }) : null;
    }
}
