/* REST calls (docs/live-feed.md section 2). Each takes an AbortSignal: leaving a view ends its queries. */
import { signal } from '@preact/signals';
import { num } from '../lib/format';

export class Problem extends Error {
    constructor(
        readonly status: number,
        readonly detail: string,
        readonly reason: string,
        readonly pos: number | null,
        readonly request_id: string,
    ) {
        super(detail);
    }
}

/* How often an answer said that nobody is logged in. */
export const unauthenticated = signal(0);

export type Bag = Record<string, unknown>;

export function get(path: string, query: Record<string, string | number | string[] | undefined> = {}, signal?: AbortSignal): Promise<Bag> {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
        for (const one of Array.isArray(value) ? value : [value]) {
            if (one !== undefined && one !== '') {
                search.append(key, String(one));
            }
        }
    }
    const text = search.toString();
    return ask(path, text ? `?${text}` : '', { headers: { accept: 'application/json' } }, signal);
}

/* What changes something; the header is what a page of another origin cannot send. */
export function post(path: string, body: Bag, signal?: AbortSignal): Promise<Bag> {
    return ask(path, '', { method: 'POST', body: JSON.stringify(body), headers: { accept: 'application/json', 'content-type': 'application/json', 'x-netscope': '1' } }, signal);
}

export function remove(path: string, signal?: AbortSignal): Promise<Bag> {
    return ask(path, '', { method: 'DELETE', headers: { accept: 'application/json', 'x-netscope': '1' } }, signal);
}

async function ask(path: string, query: string, how: RequestInit, signal?: AbortSignal): Promise<Bag> {
    let response: Response;
    try {
        response = await fetch(path + query, { ...how, signal });
    } catch (error) {
        if (signal?.aborted) {
            throw error;
        }
        throw new Problem(0, 'The collector cannot be reached.', 'UNREACHABLE', null, '');
    }
    let body: unknown = null;
    try {
        body = await response.json();
    } catch (error) {
        if (signal?.aborted) {
            throw error;
        }
    }
    const bag = typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Bag) : {};
    if (!response.ok) {
        unauthenticated.value += response.status === 401 ? 1 : 0;
        throw new Problem(
            response.status,
            typeof bag.detail === 'string' && bag.detail ? bag.detail : `The collector answered ${response.status}.`,
            typeof bag.reason === 'string' ? bag.reason : '',
            num(bag.pos),
            typeof bag.request_id === 'string' ? bag.request_id : (response.headers.get('x-request-id') ?? ''),
        );
    }
    if (body === null) {
        throw new Problem(response.status, `The answer to ${path} is not JSON.`, 'INTERNAL', null, '');
    }
    return bag;
}

export interface Series {
    step_ms: number;
    t: number[];
    series: { key: string; in: (number | null)[]; out: (number | null)[] | null }[];
    quality: string;
    merged: boolean; /* a flow of several sensors counts once */
}

export interface SeriesQuery {
    metric: string;
    by?: string;
    from: number;
    to: number;
    step: number;
    top?: number;
    sensor?: string;
    filter?: string;
    dedup?: string;
}

export async function timeseries(q: SeriesQuery, signal?: AbortSignal): Promise<Series> {
    const b = await get('/v1/timeseries', { ...q, by: q.by ?? 'none', from: Math.floor(q.from), to: Math.ceil(q.to) }, signal);
    const t = (Array.isArray(b.t) ? b.t : []).map((v) => num(v) ?? NaN);
    const step_ms = num(b.step_ms) ?? 0;
    if (!(step_ms > 0) || t.some((v) => Number.isNaN(v))) {
        throw new Problem(200, 'The collector sent a time series without steps.', 'INTERNAL', null, '');
    }
    const column = (v: unknown) => (Array.isArray(v) && v.length === t.length ? v.map(num) : null);
    const series = (Array.isArray(b.series) ? (b.series as Bag[]) : []).map((s) => ({
        key: String(s.key ?? ''),
        in: column(s.in) ?? new Array<number | null>(t.length).fill(null),
        out: column(s.out),
    }));
    return { step_ms, t, series, quality: String(b.quality ?? 'exact'), merged: b.dedup === 'MERGED' };
}

export interface Counted {
    matched: number | null;
    scanned: number | null;
    took_ms: number | null;
    quality: string;
    missing: string[];
}

export function counted(b: Bag): Counted {
    return {
        matched: num(b.matched), scanned: num(b.scanned), took_ms: num(b.took_ms), quality: String(b.quality ?? ''),
        missing: Array.isArray(b.missing_sensors) ? b.missing_sensors.map(String) : [],
    };
}
