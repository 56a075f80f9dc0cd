/* The filter line: colours, chips, and the terms a click adds. The collector alone decides what a filter means and whether
 * it is right (GET /v1/filter:check); here it is only cut into pieces. Grammar: AIP-160. Pure. */

export type TokenKind = 'field' | 'operator' | 'keyword' | 'number' | 'text' | 'bracket' | 'space' | 'broken';

export interface Token {
    kind: TokenKind;
    text: string;
    at: number;
}

const PATTERN =
    /(\s+)|("(?:[^"\\]|\\.)*")|("(?:[^"\\]|\\.)*$)|(!=|>=|<=|[=<>:])|([()[\],])|([^\s"()[\],=<>:!]+)|([^])/y;
const KEYWORDS = new Set(['AND', 'OR', 'NOT', 'IN']);

export function tokenize(text: string): Token[] {
    const tokens: Token[] = [];
    PATTERN.lastIndex = 0;
    while (PATTERN.lastIndex < text.length) {
        const at = PATTERN.lastIndex;
        const m = PATTERN.exec(text);
        if (!m) {
            break;
        }
        let kind: TokenKind = 'broken';
        if (m[1] !== undefined) {
            kind = 'space';
        } else if (m[2] !== undefined) {
            kind = 'text';
        } else if (m[4] !== undefined) {
            kind = 'operator';
        } else if (m[5] !== undefined) {
            kind = 'bracket';
        } else if (m[6] !== undefined) {
            kind = KEYWORDS.has(m[6].toUpperCase()) ? 'keyword' : 'text';
        }
        tokens.push({ kind, text: m[0], at });
    }
    const solid = tokens.filter((t) => t.kind !== 'space');
    solid.forEach((t, i) => {
        if (t.kind !== 'text') {
            return;
        }
        const before = solid[i - 1];
        const after = solid[i + 1];
        if (before?.kind === 'operator') {
            t.kind = /^-?\d[\d.]*[a-zA-Z]{0,3}$/.test(t.text) && !/\d+\.\d+\.\d+/.test(t.text) ? 'number' : 'text';
        } else if (after?.kind === 'operator' || (after?.kind === 'keyword' && after.text.toUpperCase() === 'IN')) {
            t.kind = 'field';
        }
    });
    return tokens;
}

/* Pieces that are joined by AND at the outermost level. An OR at that level makes the whole one piece. */
export function conjuncts(text: string): string[] {
    const pieces: string[] = [];
    let depth = 0;
    let start = 0;
    for (const t of tokenize(text)) {
        if (t.kind === 'bracket') {
            depth += t.text === '(' || t.text === '[' ? 1 : t.text === ',' ? 0 : -1;
        } else if (t.kind === 'keyword' && depth === 0) {
            const word = t.text.toUpperCase();
            if (word === 'OR') {
                return text.trim() ? [text.trim()] : [];
            }
            if (word === 'AND') {
                pieces.push(text.slice(start, t.at));
                start = t.at + t.text.length;
            }
        }
    }
    pieces.push(text.slice(start));
    return pieces.map((p) => p.trim()).filter(Boolean);
}

const has_outer_or = (text: string) => {
    let depth = 0;
    for (const t of tokenize(text)) {
        if (t.kind === 'bracket' && t.text !== ',') {
            depth += t.text === '(' || t.text === '[' ? 1 : -1;
        }
        if (depth === 0 && t.kind === 'keyword' && t.text.toUpperCase() === 'OR') {
            return true;
        }
    }
    return false;
};

export function join(pieces: string[]): string {
    const used = pieces.filter((p) => p.trim() !== '');
    return used.length === 1 ? used[0] : used.map((p) => (has_outer_or(p) ? `(${p})` : p)).join(' AND ');
}

export interface Chip {
    text: string; /* the piece itself */
    field: string;
    operator: string;
    value: string;
    negated: boolean;
}

export function chip(piece: string): Chip {
    let rest = piece;
    let negated = false;
    const not = /^(NOT\s+|-(?=[a-z]))/i.exec(rest);
    if (not) {
        negated = true;
        rest = rest.slice(not[0].length);
    }
    const solid = tokenize(rest).filter((t) => t.kind !== 'space');
    if (solid.length === 3 && solid[0].kind === 'field' && solid[1].kind === 'operator') {
        const operator = solid[1].text;
        if (operator === '!=') {
            negated = !negated;
        }
        return { text: piece, field: solid[0].text, operator, value: unquote(solid[2].text), negated };
    }
    /* one field with several values */
    const values = in_list(solid);
    if (values) {
        return { text: piece, field: solid[0].text, operator: '=', value: values.join(', '), negated };
    }
    return { text: piece, field: '', operator: '', value: rest, negated };
}

/* `field IN (a, "b c")` -> its values */
function in_list(solid: Token[]): string[] | null {
    const n = solid.length;
    if (n < 5 || solid[0].kind !== 'field' || solid[1].text.toUpperCase() !== 'IN' || solid[2].text !== '(' || solid[n - 1].text !== ')') {
        return null;
    }
    const inner = solid.slice(3, n - 1);
    const well = inner.every((t, i) => (i % 2 === 1 ? t.text === ',' : t.kind !== 'bracket')) && inner.length % 2 === 1;
    return well ? inner.filter((_, i) => i % 2 === 0).map((t) => unquote(t.text)) : null;
}

export function unquote(text: string): string {
    return text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1).replace(/\\(.)/gs, '$1') : text;
}

export function quote(value: string): string {
    if ((/^[A-Za-z_][A-Za-z0-9_]*$/.test(value) && !KEYWORDS.has(value.toUpperCase())) || /^\d{1,15}$/.test(value)) {
        return value;
    }
    return `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

export const term = (field: string, value: string, operator = '=') => `${field} ${operator} ${quote(value)}`;

const VALUES_MAX = 40; /* a longer filter is nobody's to read, and the collector bounds it */

/* One of several values; '' where there are none, or too many. */
export function one_of(field: string, values: string[]): string {
    return values.length === 0 || values.length > VALUES_MAX ? '' : values.length === 1 ? term(field, values[0]) : `${field} IN (${values.map(quote).join(', ')})`;
}

export type ClickKind = 'include' | 'exclude' | 'only';

/* What a click on a value makes of the filter: a second click on the same value takes the term away again; further
 * values of one field make it IN (a, b). */
export function click_value(filter: string, field: string, value: string, kind: ClickKind): string {
    const wanted = kind === 'exclude' ? term(field, value, '!=') : term(field, value);
    if (kind === 'only') {
        return wanted;
    }
    const pieces = conjuncts(filter);
    if (pieces.includes(wanted)) {
        return join(pieces.filter((p) => p !== wanted));
    }
    const opposite = kind === 'exclude' ? term(field, value) : term(field, value, '!=');
    const kept = pieces.filter((p) => p !== opposite);
    if (kind === 'include') {
        for (let i = 0; i < kept.length; i++) {
            const alternatives = values_of(kept[i], field);
            if (alternatives) {
                const values = alternatives.includes(value) ? alternatives.filter((v) => v !== value) : [...alternatives, value];
                kept[i] = values.length === 1 ? term(field, values[0]) : `${field} IN (${values.map(quote).join(', ')})`;
                return join(kept);
            }
        }
    }
    return join([...kept, wanted]);
}

/* The values of `field = a` or `field IN (a, b)`, else null. */
function values_of(piece: string, field: string): string[] | null {
    const c = chip(piece);
    if (c.field !== field || c.operator !== '=' || c.negated) {
        return null;
    }
    return in_list(tokenize(piece).filter((t) => t.kind !== 'space')) ?? [c.value];
}

export function state_of_value(filter: string, field: string, value: string): 'in' | 'out' | '' {
    for (const piece of conjuncts(filter)) {
        if (piece === term(field, value, '!=')) {
            return 'out';
        }
        if (values_of(piece, field)?.includes(value)) {
            return 'in';
        }
    }
    return '';
}

export const FIELDS: [string, string][] = [
    ['alert_id', 'id of an alert that names the flow'],
    ['app', 'application, as tls'],
    ['bytes', 'of the record, as 1MiB'],
    ['client.ip', 'address or prefix'],
    ['client.labels.', 'and a label of its network, as site'],
    ['client.mac', 'as 02:00:5e:*'],
    ['client.port', 'number'],
    ['dns.name', 'name asked for'],
    ['dns.rcode', 'of an answer, as nxdomain'],
    ['dscp', 'of either direction'],
    ['duration', 'as 1.5s'],
    ['flag', 'as midstream or gap_before'],
    ['community_id', 'text'],
    ['flow_id', 'text'],
    ['http.host', 'Host header'],
    ['http.method', 'as POST'],
    ['http.path', 'as /api/*'],
    ['http.status', 'number'],
    ['http.user_agent', 'text'],
    ['icmp.type', 'number'],
    ['interface', 'text'],
    ['ip', 'either side: address or prefix'],
    ['labels.', 'and a label of either network, as site'],
    ['mac', 'either side, as 02:00:5e:*'],
    ['missed_bytes', 'not seen by the sensor, as 1MiB'],
    ['name', 'any name seen'],
    ['port', 'either side'],
    ['protocol', 'tcp, udp, or a number'],
    ['risk_score', 'highest score of its alerts'],
    ['rtt', 'as 80ms'],
    ['scope', 'internal, external'],
    ['sensor', 'which sensor saw it'],
    ['server.ip', 'address or prefix'],
    ['server.labels.', 'and a label of its network, as country'],
    ['server.mac', 'as 02:00:5e:*'],
    ['server.name', 'name seen on the wire'],
    ['server.port', 'number'],
    ['ssh.hassh', 'fingerprint of either side'],
    ['tcp.conn_state', 'S0, SF, REJ'],
    ['tcp.retransmits', 'number'],
    ['tcp.state', 'as established'],
    ['tls.alpn', 'offered, as h2'],
    ['tls.ja3', 'fingerprint'],
    ['tls.ja4', 'fingerprint, as t13d*'],
    ['tls.sni', 'server name in the ClientHello'],
    ['total_bytes', 'of the flow, as 1MiB'],
    ['tunnel.id', 'VNI, TEID, key or label'],
    ['tunnel.type', 'as vxlan'],
    ['vlan', 'number'],
];

export interface Suggestion {
    text: string; /* replaces [from, to) */
    note: string;
    from: number;
    to: number;
}

/* What could stand where the caret is: fields, operators' keywords, or known values of the field before it. */
export function complete(text: string, caret: number, values: Record<string, { value: string; note: string }[]>): Suggestion[] {
    const tokens = tokenize(text.slice(0, caret));
    const solid = tokens.filter((t) => t.kind !== 'space');
    const last = solid[solid.length - 1];
    const open = tokens.length > 0 && tokens[tokens.length - 1].kind !== 'space';
    const typing = open && last && (last.kind === 'text' || last.kind === 'field' || last.kind === 'number' || last.kind === 'keyword' || last.kind === 'broken');
    const word = typing ? last.text : '';
    const from = typing ? last.at : caret;
    const before = typing ? solid[solid.length - 2] : last;
    const make = (t: string, note: string): Suggestion => ({ text: t, note, from, to: caret });
    if (before?.kind === 'operator') {
        const field = solid[solid.indexOf(before) - 1]?.text ?? '';
        const start = unquote(word).replace(/^"/, '').toLowerCase();
        return (values[field] ?? [])
            .filter((v) => v.value.toLowerCase().startsWith(start))
            .slice(0, 8)
            .map((v) => make(quote(v.value), v.note));
    }
    if (before !== undefined && before.kind !== 'keyword' && !(before.kind === 'bracket' && before.text === '(')) {
        return ['AND', 'OR', 'AND NOT'].filter((k) => k.startsWith(word.toUpperCase()) && k !== word).map((k) => make(k, ''));
    }
    if (before === undefined && word === '') {
        return [];
    }
    return FIELDS.filter(([name]) => name.includes(word.toLowerCase()) && name !== word)
        .sort((a, b) => Number(b[0].startsWith(word)) - Number(a[0].startsWith(word)))
        .slice(0, 8)
        .map(([name, note]) => make(name, note));
}

/* What somebody typed into "go to": an address, a prefix, a name, or already a filter. */
export function search_to_filter(text: string, sensors: { id: string; name: string }[]): string {
    const wanted = text.trim();
    if (wanted === '') {
        return '';
    }
    if (/[=<>:]\s*\S/.test(wanted) && tokenize(wanted).some((t) => t.kind === 'field') && !/^[0-9a-f:]+(\/\d+)?$/i.test(wanted)) {
        return wanted;
    }
    const sensor = sensors.find((s) => s.name === wanted || s.id === wanted);
    if (sensor) {
        return term('sensor', sensor.id);
    }
    if (/^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/.test(wanted) || /^[0-9a-f]*:[0-9a-f:.]*(\/\d{1,3})?$/i.test(wanted)) {
        return `ip = "${wanted}"`;
    }
    if (/^1:[A-Za-z0-9+/]{20,}=*$/.test(wanted)) {
        return term('community_id', wanted);
    }
    if (/^\d{1,5}$/.test(wanted)) {
        return term('server.port', wanted);
    }
    return term('name', wanted, ':');
}

/* Byte offset in UTF-8 (what the server says) -> index in the string. */
export function index_of_byte(text: string, byte: number): number {
    let bytes = 0;
    let i = 0;
    for (const c of text) {
        if (bytes >= byte) {
            return i;
        }
        const code = c.codePointAt(0)!;
        bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        i += c.length;
    }
    return i;
}
