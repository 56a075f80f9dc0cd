/* What people say of alerts: what is hidden and why, and which silences can be made of an alert. Pure. */
import type { Alert, Note } from '../live/records';

/* Why an alert is not shown at first. */
export type Hidden = '' | 'acknowledged' | 'silenced';

export function hidden_by(note: Note | undefined, now_ms: number): Hidden {
    if (!note) {
        return '';
    }
    if (note.silence !== '' && (note.until_ms === null || note.until_ms > now_ms)) {
        return 'silenced';
    }
    return note.acknowledged ? 'acknowledged' : '';
}

/* What a chart marks of the alerts: those that are shown and have begun, the worst first, since there is room for few. */
export function marked(list: Iterable<Alert>, is_shown: (a: Alert) => boolean, worst_first: readonly string[], most = 24): Alert[] {
    return [...list]
        .filter((a) => a.first_ms !== null && is_shown(a))
        .sort((a, b) => worst_first.indexOf(a.severity) - worst_first.indexOf(b.severity))
        .slice(0, most);
}

/* What CreateSilence takes, without reason and end. */
export interface Choice {
    kinds?: string[];
    subjects?: string[];
    attackers?: string[];
    victims?: string[];
    sensor_ids?: string[];
}

export interface Scope {
    key: 'both' | 'pair' | 'kind' | 'subject';
    label: string; /* unescaped */
    choice: Choice;
}

const LIST_MAX = 64;

const each_once = (list: string[]) => [...new Set(list.filter(Boolean))].slice(0, LIST_MAX);

function say_list(list: string[]): string {
    return list.length <= 2 ? list.join(' and ') : `${list[0]} and ${list.length - 1} others`;
}

/* The narrowest first. Whom it is about: those who did it, else those it was done to, else the sensors that saw it. */
export function scopes(alerts: Alert[], title: (a: Alert) => string): Scope[] {
    const kinds = each_once(alerts.map((a) => a.kind)).map((k) => `ALERT_KIND_${k}`);
    const titles = say_list(each_once(alerts.map(title)));
    const attackers = each_once(alerts.flatMap((a) => a.attackers.map((p) => p.ip)));
    const victims = each_once(alerts.flatMap((a) => a.victims.map((p) => p.ip)));
    const sensors = each_once(alerts.flatMap((a) => a.sensors));
    const subjects = attackers.length > 0 ? attackers : victims;
    const whom: Choice = subjects.length > 0 ? { subjects } : { sensor_ids: sensors };
    const name = say_list(subjects.length > 0 ? subjects : sensors);
    const list: Scope[] = [];
    if (attackers.length > 0 && victims.length > 0) {
        list.push({ key: 'pair', label: `${titles}, ${say_list(attackers)} → ${say_list(victims)}`, choice: { kinds, attackers, victims } });
    }
    if (name) {
        list.push({ key: 'both', label: `${titles}, ${name}`, choice: { kinds, ...whom } });
    }
    list.push({ key: 'kind', label: `${titles}, whoever it is`, choice: { kinds } });
    if (name) {
        list.push({ key: 'subject', label: `${name}, whatever it is`, choice: whom });
    }
    return list;
}

export const SPANS: [string, number][] = [
    ['1 h', 3600],
    ['4 h', 4 * 3600],
    ['1 d', 86_400],
    ['7 d', 7 * 86_400],
];

/* "90m", "36 h", "2d": seconds; null: none of these. */
export function parse_span(text: string): number | null {
    const found = /^\s*(\d+(?:\.\d+)?)\s*(m|min|h|d|w)\s*$/i.exec(text);
    if (!found) {
        return null;
    }
    const unit = { m: 60, min: 60, h: 3600, d: 86_400, w: 7 * 86_400 }[found[2].toLowerCase()]!;
    const seconds = Math.round(Number(found[1]) * unit);
    return seconds > 0 && seconds <= 3650 * 86_400 ? seconds : null;
}

export interface Silence {
    id: string;
    kinds: string[];
    whom: string; /* unescaped */
    max_severity: string;
    reason: string;
    by: string;
    created: unknown;
    expires: unknown;
    deleted_by: string;
    deleted: unknown;
    state: string; /* ACTIVE, EXPIRED, DELETED */
}

export function read_silence(record: unknown): Silence {
    const b = (typeof record === 'object' && record !== null ? record : {}) as Record<string, unknown>;
    const text = (v: unknown) => (typeof v === 'string' ? v : '');
    const list = (v: unknown) => (Array.isArray(v) ? v.map(String) : []);
    const tail = (v: unknown, prefix: string) => (text(v).startsWith(prefix) ? text(v).slice(prefix.length) : text(v));
    const pair = [say_list(list(b.attackers)), say_list(list(b.victims))].filter(Boolean).join(' → ');
    const severity = tail(b.max_severity, 'SEVERITY_');
    return {
        id: text(b.silence_id),
        kinds: list(b.kinds).map((k) => tail(k, 'ALERT_KIND_')),
        whom: [say_list(list(b.subjects)), pair, say_list(list(b.sensor_ids))].filter(Boolean).join(', '),
        max_severity: severity === 'UNSPECIFIED' ? '' : severity.toLowerCase(),
        reason: text(b.reason),
        by: text(b.created_by),
        created: b.created_time,
        expires: b.expire_time,
        deleted_by: text(b.deleted_by),
        deleted: b.deleted_time,
        state: tail(b.state, 'SILENCE_STATE_'),
    };
}
