/* Everything on screen is a link: page and state as the part of the address behind '#'.
 * #/flows?f=server.port%20%3D%20443&t=now-1h..now&sel=s-1~6f0c */

export type PageName = 'overview' | 'sensors' | 'flows' | 'hosts' | 'map' | 'alerts' | 'packets' | 'system';
export const PAGES: PageName[] = ['overview', 'sensors', 'flows', 'hosts', 'map', 'alerts', 'packets', 'system'];

export interface Route {
    page: PageName;
    params: Record<string, string>;
}

export function parse_route(hash: string): Route {
    const text = hash.replace(/^#\/?/, '');
    const cut = text.indexOf('?');
    const name = cut < 0 ? text : text.slice(0, cut);
    const params: Record<string, string> = {};
    if (cut >= 0) {
        for (const pair of text.slice(cut + 1).split('&')) {
            const equals = pair.indexOf('=');
            if (pair === '') {
                continue;
            }
            const key = equals < 0 ? pair : pair.slice(0, equals);
            const value = equals < 0 ? '' : pair.slice(equals + 1);
            try {
                params[decodeURIComponent(key)] = decodeURIComponent(value);
            } catch {
                /* a broken escape: that one pair is left out */
            }
        }
    }
    return { page: (PAGES as string[]).includes(name) ? (name as PageName) : 'overview', params };
}

/* What needs no escape in a fragment stays readable. */
const readable = (text: string) =>
    encodeURIComponent(text).replace(/%(3A|2C|2F|40|3B|24|21|28|29|7E|2A)/gi, (e) => decodeURIComponent(e));

export function format_route(route: Route): string {
    const pairs = Object.entries(route.params)
        .filter(([, value]) => value !== '')
        .map(([key, value]) => `${readable(key)}=${readable(value)}`);
    return `#/${route.page}` + (pairs.length ? `?${pairs.join('&')}` : '');
}

/* A live range ends now and moves; a fixed one stands. */
export type Range = { kind: 'live'; span_ms: number } | { kind: 'fixed'; from_ms: number; to_ms: number };

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function parse_range(text: string | undefined): Range | null {
    if (!text) {
        return null;
    }
    const live = /^now-(\d{1,6})([smhd])\.\.now$/.exec(text);
    if (live) {
        const span_ms = Number(live[1]) * UNITS[live[2]];
        return span_ms >= 1000 && span_ms <= 400 * UNITS.d ? { kind: 'live', span_ms } : null;
    }
    const cut = text.split('..');
    if (cut.length !== 2) {
        return null;
    }
    const [from_ms, to_ms] = cut.map(parse_instant);
    if (from_ms === null || to_ms === null || from_ms >= to_ms) {
        return null;
    }
    return { kind: 'fixed', from_ms, to_ms };
}

export function parse_instant(text: string | undefined): number | null {
    if (!text) {
        return null;
    }
    const at = /^\d{9,15}$/.test(text) ? Number(text) : Date.parse(text.replace(' ', 'T') + (/(Z|[+-]\d\d:\d\d)$/.test(text) ? '' : 'Z'));
    return Number.isFinite(at) && at > 0 && at < 4e12 ? at : null;
}

export function format_instant(at_ms: number): string {
    return new Date(Math.round(at_ms)).toISOString().replace(/\.000Z$/, 'Z');
}

export function format_range(range: Range): string {
    if (range.kind === 'fixed') {
        return `${format_instant(range.from_ms)}..${format_instant(range.to_ms)}`;
    }
    for (const unit of ['d', 'h', 'm', 's']) {
        if (range.span_ms % UNITS[unit] === 0) {
            return `now-${range.span_ms / UNITS[unit]}${unit}..now`;
        }
    }
    return `now-${Math.round(range.span_ms / 1000)}s..now`;
}
