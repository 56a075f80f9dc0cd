/* What people say of alerts, as a collector keeps it (docs/live-feed.md section 2.8), in memory. Addresses match by being equal. */
const iso = (ms) => new Date(ms).toISOString();

export class FakeTriage {
    constructor() {
        this.said = 1;
        this.seen = new Map();
        this.silences = [];
    }

    state_of(silence, now) {
        return silence.deleted_by ? 'SILENCE_STATE_DELETED' : Date.parse(silence.expire_time) > now ? 'SILENCE_STATE_ACTIVE' : 'SILENCE_STATE_EXPIRED';
    }

    fits(choice, alert) {
        const one_of = (wanted, list) => !wanted?.length || wanted.some((w) => list.includes(w));
        const attackers = alert.attackers.map((p) => p.ip);
        const victims = alert.victims.map((p) => p.ip);
        return one_of(choice.kinds, [alert.kind]) && one_of(choice.subjects, [...attackers, ...victims]) && one_of(choice.attackers, attackers) &&
            one_of(choice.victims, victims) && one_of(choice.sensor_ids, alert.sensor_ids);
    }

    note(alert, now) {
        const seen = this.seen.get(alert.alert_id);
        const silence = this.silences.find((s) => this.state_of(s, now) === 'SILENCE_STATE_ACTIVE' && this.fits(s, alert));
        if (!seen && !silence) {
            return null;
        }
        return {
            alert_id: alert.alert_id, is_acknowledged: !!seen, ...(seen ? { acknowledgement: seen } : {}),
            silence_id: silence?.silence_id ?? '', ...(silence ? { silence_expire_time: silence.expire_time } : {}),
        };
    }

    /* null: another path. */
    answer(path, body, alerts, now) {
        const ok = (v) => ({ status: 200, type: 'application/json', body: JSON.stringify(v) });
        const bad = (status, reason, detail) => ({ status, type: 'application/problem+json', body: JSON.stringify({ status, detail, reason }) });
        if (path === '/v1/alerts:acknowledge') {
            const wanted = alerts.filter((a) => body.alert_ids.includes(a.alert_id));
            if (wanted.length < body.alert_ids.length && !body.undo) {
                return bad(404, 'NO_SUCH_ALERT', 'not in the history; nothing was acknowledged');
            }
            for (const a of wanted) {
                if (body.undo) {
                    this.seen.delete(a.alert_id);
                } else {
                    this.seen.set(a.alert_id, { who: 'ada', time: iso(now), comment: body.comment ?? '', severity: a.severity });
                }
            }
            this.said++;
            return ok({ notes: wanted.map((a) => this.note(a, now)).filter(Boolean) });
        }
        if (path === '/v1/silences:create') {
            const hidden = alerts.filter((a) => this.fits(body, a));
            const counts = { matched: String(hidden.length), total: String(alerts.length), matched_open: String(hidden.filter((a) => a.state !== 'ALERT_STATE_CLOSE').length) };
            if (body.dry_run) {
                return ok(counts);
            }
            if (!body.reason || !/^\d+s$/.test(body.duration ?? '')) {
                return bad(400, 'BAD_SILENCE', 'reason: why is it nobody\'s business? Not given');
            }
            const { reason, duration, dry_run: _, ...choice } = body;
            const silence = { silence_id: String(this.silences.length + 1).padStart(32, '0'), ...choice, reason, created_by: 'ada', created_time: iso(now), expire_time: iso(now + 1000 * parseInt(duration, 10)), deleted_by: '' };
            this.silences.unshift(silence);
            this.said++;
            return ok({ silence: { ...silence, state: this.state_of(silence, now) }, ...counts });
        }
        if (path === '/v1/silences') {
            return ok({ silences: this.silences.map((s) => ({ ...s, state: this.state_of(s, now) })) });
        }
        const found = /^\/v1\/silences\/([0-9a-f]{32}):delete$/.exec(path);
        if (found) {
            const silence = this.silences.find((s) => s.silence_id === found[1]);
            if (!silence || this.state_of(silence, now) !== 'SILENCE_STATE_ACTIVE') {
                return bad(400, 'SILENCE_IS_OVER', 'the silence is over');
            }
            Object.assign(silence, { deleted_by: 'ada', deleted_time: iso(now) });
            this.said++;
            return ok({ silence: { ...silence, state: this.state_of(silence, now) } });
        }
        return null;
    }
}
