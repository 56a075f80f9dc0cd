/* Numbers, times and foreign text as people read them. Pure. */

/* No-break space between thousands and before units. Inter's narrow one (U+202F) is 0.14 em: at 12 px digits run together. */
export const GAP = '\u00a0';

/* Absent values are drawn as this, never as 0. */
export const NONE = '–';

const STEPS: [number, string][] = [
    [1e15, 'P'],
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
];

/* Three significant digits: 1.42, 14.2, 142. */
export function digits(value: number): string {
    const size = Math.abs(value);
    if (size >= 99.95 || value === 0) {
        return value.toFixed(0);
    }
    return size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export interface Scaled {
    value: string;
    prefix: string;
}

export function scaled(value: number): Scaled {
    for (const [factor, prefix] of STEPS) {
        if (Math.abs(value) >= factor * 0.9995) {
            return { value: digits(value / factor), prefix };
        }
    }
    return { value: Math.abs(value) >= 10 || Number.isInteger(value) ? value.toFixed(0) : digits(value), prefix: '' };
}

/* "1.42 G": for tables whose header names the unit. */
export function si(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return NONE;
    }
    const s = scaled(value);
    return s.prefix ? s.value + GAP + s.prefix : s.value;
}

/* "1.42 Gbit/s" */
export function with_unit(value: number | null | undefined, unit: string): string {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return NONE;
    }
    const s = scaled(value);
    return s.value + GAP + s.prefix + unit;
}

export const bytes = (value: number | null | undefined) => with_unit(value, 'B');

/* "48 217" */
export function whole(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return NONE;
    }
    return Math.round(value)
        .toString()
        .replace(/\B(?=(\d{3})+(?!\d))/g, GAP);
}

/* Percent of parts per million: 400 ppm = "0.04". */
export function percent_of_ppm(ppm: number | null | undefined): string {
    if (ppm === null || ppm === undefined || !Number.isFinite(ppm)) {
        return NONE;
    }
    const percent = ppm / 1e4;
    if (percent === 0) {
        return '0';
    }
    if (percent < 0.001) {
        return '<0.001';
    }
    return percent >= 10 ? percent.toFixed(1) : percent >= 0.01 ? percent.toFixed(2) : percent.toFixed(3);
}

export function ms(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return NONE;
    }
    if (Math.abs(value) >= 10_000) {
        return digits(value / 1000) + GAP + 's';
    }
    return (Math.abs(value) >= 9.95 ? value.toFixed(0) : value.toFixed(1)) + GAP + 'ms';
}

/* "+0.08 ms", "−1.50 s"; what rounds to nothing has no sign. */
export function offset_text(value: number | null): string {
    if (value === null || !Number.isFinite(value)) {
        return NONE;
    }
    const size = Math.abs(value);
    const text = size >= 10_000 ? digits(size / 1000) + GAP + 's' : digits(size) + GAP + 'ms';
    return Number.parseFloat(text) === 0 ? text : `${value > 0 ? '+' : '−'}${text}`;
}

/* "22 min 51 s", "3 h 5 min", "0.4 s" */
export function span(milliseconds: number | null | undefined): string {
    if (milliseconds === null || milliseconds === undefined || !Number.isFinite(milliseconds)) {
        return NONE;
    }
    const total = milliseconds / 1000;
    if (total < 1) {
        return ms(milliseconds);
    }
    if (total < 10 && total !== Math.floor(total)) {
        return total.toFixed(1) + GAP + 's';
    }
    const s = Math.floor(total);
    const pair = (a: number, au: string, b: number, bu: string) => `${a}${GAP}${au}` + (b ? ` ${b}${GAP}${bu}` : '');
    if (s < 60) {
        return `${s}${GAP}s`;
    }
    if (s < 3600) {
        return pair(Math.floor(s / 60), 'min', s % 60, 's');
    }
    if (s < 86400) {
        return pair(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
    }
    return pair(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
}

/* One unit only, for "how long ago": "2 m", "33 m", "4 h". */
export function ago(milliseconds: number): string {
    const s = Math.max(0, Math.round(milliseconds / 1000));
    if (s < 60) {
        return `${s}${GAP}s`;
    }
    if (s < 3600) {
        return `${Math.floor(s / 60)}${GAP}m`;
    }
    return s < 86400 ? `${Math.floor(s / 3600)}${GAP}h` : `${Math.floor(s / 86400)}${GAP}d`;
}

const two = (n: number) => String(n).padStart(2, '0');

/* All clocks on the page are UTC, as in the records. */
export function clock(at_ms: number, seconds = true): string {
    const d = new Date(at_ms);
    return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}` + (seconds ? `:${two(d.getUTCSeconds())}` : '');
}

export function day(at_ms: number): string {
    const d = new Date(at_ms);
    return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

/* The day is named only where it is not that of `near_ms`. */
export function moment(at_ms: number, near_ms: number, seconds = true): string {
    return day(at_ms) === day(near_ms) ? clock(at_ms, seconds) : `${day(at_ms)} ${clock(at_ms, seconds)}`;
}

/* The same for narrow columns: of another day "11-30 23:36", of another year the day alone. */
export function short_moment(at_ms: number, near_ms: number): string {
    if (day(at_ms) === day(near_ms)) {
        return clock(at_ms);
    }
    return day(at_ms).slice(0, 4) === day(near_ms).slice(0, 4) ? `${day(at_ms).slice(5)} ${clock(at_ms, false)}` : day(at_ms);
}

/* RFC 3339 with up to nine decimals -> ms with fraction; null if absent or wrong. */
export function parse_time(text: unknown): number | null {
    if (typeof text !== 'string' || text === '') {
        return null;
    }
    const cut = /^(.*?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
    if (!cut) {
        return null;
    }
    const base = Date.parse(cut[1] + cut[3]);
    return Number.isNaN(base) ? null : base + (cut[2] ? Number(`0.${cut[2]}`) * 1000 : 0);
}

/* proto3 JSON duration "0.012s" -> ms. */
export function parse_duration(text: unknown): number | null {
    if (typeof text === 'number') {
        return text;
    }
    if (typeof text !== 'string' || !/^-?\d+(\.\d+)?s$/.test(text)) {
        return null;
    }
    return Number(text.slice(0, -1)) * 1000;
}

/* Numbers and proto3's decimal strings alike; null where there is none. */
export function num(value: unknown): number | null {
    if (typeof value === 'number') {
        return Number.isFinite(value) ? value : null;
    }
    if (typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)) {
        return Number(value);
    }
    return null;
}

/* Names, SNI and summaries come from strangers. Control characters, bidirectional overrides, zero-width and
 * private characters are shown as their code point, so a name cannot pose as another or turn the line round. */
const HOSTILE =
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff\ue000-\uf8ff]|[\u{e0000}-\u{e0fff}]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

export function safe(text: unknown): string {
    if (text === null || text === undefined) {
        return '';
    }
    return String(text).replace(HOSTILE, (c) => `⟨${c.codePointAt(0)!.toString(16).toUpperCase().padStart(2, '0')}⟩`);
}

/* "10.0.0.1:443", "[2001:db8::1]:443" */
export function endpoint(ip: string, port: number | null): string {
    if (port === null || port === 0) {
        return ip;
    }
    return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/* "TCP_STATE_ESTABLISHED" -> "established" */
const PREFIXES =
    /^(TCP_STATE|FLOW_EVENT|END_REASON|FLOW_END_REASON|FLOW_END_DETAIL|FLOW_FLAG|END_DETAIL|ALERT_KIND|ALERT_STATE|ALERT_SEVERITY|SEVERITY|CLOSE_REASON|CONN_STATE|APP_CONFIDENCE|CONFIDENCE|SAMPLE_REASON|DIRECTION|PACKET_DIRECTION|INITIATOR|NAME_SOURCE|NETWORK_SCOPE|SCOPE|ALERT_SCOPE|SENSOR_STATE|TLS_VERSION)_/;

export function enum_tail(value: unknown): string {
    const text = String(value ?? '').replace(PREFIXES, '');
    return text === 'UNSPECIFIED' ? '' : text;
}

export function enum_words(value: unknown): string {
    return safe(enum_tail(value).toLowerCase().replace(/_/g, ' '));
}

const APPS: Record<string, string> = {
    tcp: 'TCP', udp: 'UDP', sctp: 'SCTP', ethernet: 'Ethernet', ipv4: 'IPv4', ipv6: 'IPv6', arp: 'ARP', vlan: 'VLAN', igmp: 'IGMP', gre: 'GRE', esp: 'ESP', payload: 'Payload',
    tls: 'TLS', quic: 'QUIC', dns: 'DNS', http: 'HTTP', http2: 'HTTP/2', ssh: 'SSH', ntp: 'NTP', dhcp: 'DHCP', mdns: 'mDNS',
    llmnr: 'LLMNR', kafka: 'Kafka', postgres: 'Postgres', postgresql: 'Postgres', mysql: 'MySQL', smb: 'SMB', ftp: 'FTP', smtp: 'SMTP',
    icmp: 'ICMP', icmpv6: 'ICMPv6', sip: 'SIP', rtp: 'RTP', rdp: 'RDP', wireguard: 'WireGuard', imap: 'IMAP', ldap: 'LDAP',
    snmp: 'SNMP', other: 'Other', unknown: 'Unknown', '': 'Unknown', total: 'Total',
};

export function app_name(name: string): string {
    const key = name.toLowerCase();
    return Object.hasOwn(APPS, key) ? APPS[key] : safe(name);
}

const IP_PROTOCOLS: Record<number, string> = {
    1: 'ICMP', 2: 'IGMP', 4: 'IPIP', 6: 'TCP', 17: 'UDP', 41: 'IPv6', 47: 'GRE', 50: 'ESP', 51: 'AH', 58: 'ICMPv6', 89: 'OSPF', 103: 'PIM', 112: 'VRRP', 132: 'SCTP',
};

export function ip_protocol(n: number | null): string {
    return n === null ? '' : (IP_PROTOCOLS[n] ?? `IP ${n}`);
}

export function plural(n: number, one: string, many = one + 's'): string {
    return `${whole(n)} ${n === 1 ? one : many}`;
}

/* Where a long name is cut in the middle: its end keeps whole labels ("example.org") where they are short enough. */
export function middle_cut(text: string): number {
    const last = text.lastIndexOf('.');
    for (const dot of [text.lastIndexOf('.', last - 1), last]) {
        const length = text.length - dot - 1;
        if (dot > 0 && length >= 2 && length <= 14) {
            return dot + 1;
        }
    }
    return Math.max(0, text.length - 10);
}
