/* The one sentence at the top of the overview: what is going on, from open alerts, sensors and the connection, and from
 * nothing else. Pure. */
import { plural } from './format';
import { alert_entity, alert_filter, alert_title, SEVERITIES, type Alert, type Severity } from '../live/records';

export interface Phrase {
    text: string; /* unescaped */
    link?: { page: 'alerts' | 'sensors' | 'flows' | 'overview'; params: Record<string, string> };
}

export interface Situation {
    level: Severity | 'ok' | 'unknown';
    phrases: Phrase[];
}

export interface SensorHealth {
    name: string;
    state: string;
    loss_ppm: number | null;
}

export const LOSS_MATTERS_PPM = 100;

function subject(a: Alert): string {
    const first = a.attackers[0];
    return first ? first.name || first.ip : '';
}

function object(a: Alert): string {
    const first = a.victims[0];
    return first ? first.name || first.ip : '';
}

/* "10.3.7.41 is scanning ports": as a person would say it. */
export function say(a: Alert, sensor_name: (id: string) => string = (id) => id): string {
    const sensors = a.sensors.map(sensor_name).join(', ');
    const who = subject(a);
    const whom = object(a);
    const many = Math.round(Math.max(a.victims_total ?? 0, a.victims.length));
    switch (a.kind) {
        case 'PORT_SCAN_VERTICAL':
            return who ? `${who} is scanning ports${whom ? ` of ${whom}` : ''}` : 'Ports are being scanned';
        case 'PORT_SCAN_HORIZONTAL':
            return who ? `${who} is scanning ${many > 1 ? plural(many, 'host') : 'hosts'}` : 'Hosts are being scanned';
        case 'HOST_SWEEP':
            return who ? `${who} is sweeping ${many > 1 ? plural(many, 'address', 'addresses') : 'addresses'}` : 'Addresses are being swept';
        case 'SYN_FLOOD':
        case 'UDP_FLOOD':
        case 'ICMP_FLOOD': {
            const name = a.kind.slice(0, -6);
            return whom ? `${whom} is under a ${name} flood` : `A ${name} flood is going on`;
        }
        case 'SENSOR_LOSS':
            return `${sensors || 'A sensor'} loses packets`;
        case 'SENSOR_SILENT':
            return `${sensors || 'A sensor'} is silent`;
        default: {
            const entity = alert_entity(a, sensor_name);
            return entity ? `${alert_title(a)}: ${entity}` : alert_title(a);
        }
    }
}

const number_word = (n: number) => ['No', 'One', 'Two', 'Three', 'Four', 'Five'][n] ?? String(n);

/* Acknowledged and silenced ones are counted, not told of. */
function hidden_too(hidden: number, before: string): Phrase[] {
    const list: Phrase[] = before ? [{ text: hidden > 0 ? `${before} but` : before }] : [];
    if (hidden > 0) {
        list.push({ text: before ? ' ' : '; ' }, { text: `${hidden} acknowledged or silenced`, link: { page: 'alerts', params: { state: 'open', hidden: '1' } } });
    }
    return list;
}

export function situation(alerts: Alert[] | null, sensors: SensorHealth[] | null, connected: boolean, sensor_name?: (id: string) => string, hidden = 0, traffic: { percent: number; at: string } | null = null): Situation {
    const phrases: Phrase[] = [];
    const open = (alerts ?? []).filter((a) => a.open);
    open.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || (b.last_ms ?? 0) - (a.last_ms ?? 0));
    let level: Situation['level'] = 'ok';
    if (!connected) {
        phrases.push({ text: 'No connection; last known: ' });
        level = 'unknown';
    }
    if (alerts === null) {
        if (connected) {
            return { level: 'unknown', phrases: [{ text: 'Waiting for the collector.' }] };
        }
    } else if (open.length === 0) {
        phrases.push(...hidden_too(hidden, 'No alert is open'), { text: '. ' });
    } else {
        const worst = open[0];
        if (level === 'ok') {
            level = worst.severity;
        }
        phrases.push({ text: say(worst, sensor_name), link: { page: 'alerts', params: { sel: worst.id } } });
        const next = open.find((a) => a !== worst && a.kind !== worst.kind && SEVERITIES.indexOf(a.severity) <= SEVERITIES.indexOf('high'));
        if (next) {
            phrases.push({ text: ', ' }, { text: say(next, sensor_name), link: { page: 'alerts', params: { sel: next.id } } });
        }
        const rest = open.length - (next ? 2 : 1);
        if (rest > 0) {
            phrases.push({ text: '; ' }, { text: `${rest} more ${rest === 1 ? 'alert' : 'alerts'} open`, link: { page: 'alerts', params: { state: 'open' } } });
        }
        phrases.push(...hidden_too(hidden, ''), { text: '. ' });
    }
    if (traffic !== null) {
        const size = traffic.percent >= 200 ? `${(1 + traffic.percent / 100).toFixed(1)} times what is` : `${Math.round(Math.abs(traffic.percent))}\u00a0% ${traffic.percent > 0 ? 'above' : 'below'} the`;
        phrases.push({ text: 'Traffic', link: { page: 'overview', params: { by: 'direction' } } }, { text: ` is ${size} usual at ${traffic.at}. ` });
    }
    if (sensors !== null && sensors.length > 0) {
        const losing = sensors.filter((s) => s.state === 'LIVE' && (s.loss_ppm ?? 0) >= LOSS_MATTERS_PPM);
        const silent = sensors.filter((s) => s.state !== 'LIVE');
        const of = sensors.length === 1 ? 'The sensor' : null;
        const say_count = (n: number) => of ?? `${number_word(n)} ${n === 1 ? 'sensor' : 'sensors'} of ${sensors.length}`;
        const link = { page: 'sensors' as const, params: {} };
        if (silent.length > 0) {
            phrases.push({ text: say_count(silent.length), link }, { text: ` ${silent.length === 1 ? 'does' : 'do'} not report. ` });
            level = level === 'ok' ? 'medium' : level;
        }
        const said = open.slice().some((a) => a.kind === 'SENSOR_LOSS' && phrases.some((p) => p.link?.params.sel === a.id));
        if (losing.length > 0 && !(said && losing.length === 1)) {
            phrases.push({ text: say_count(losing.length), link }, { text: ` ${losing.length === 1 ? 'loses' : 'lose'} packets.` });
            level = level === 'ok' ? 'high' : level;
        }
        if (silent.length === 0 && losing.length === 0) {
            phrases.push({ text: of ?? `All ${sensors.length} sensors`, link }, { text: ` ${sensors.length === 1 ? 'reports and loses' : 'report and lose'} nothing.` });
        }
    }
    return { level, phrases };
}

export { alert_filter };
