/* The six figures of the overview, each with its course. */
import { clock, GAP, NONE, percent_of_ppm, scaled, si, whole, ms as ms_text, digits } from '../../lib/format';
import { LOSS_MATTERS_PPM } from '../../lib/situation';
import { follow_charts, use_series, type SeriesData } from '../../live/series';
import { href, is_live, live_sensors, sensor_name, totals } from '../../live/store';
import { both_ways, NOW_MS, use_usual } from '../../live/usual';
import { deviation, deviation_text, mean_of_last, usual_at, type Reference } from '../../lib/usual';
import { Spark, thin } from '../../ui/spark';

interface TileProps {
    label: string;
    value: string;
    unit: string;
    note: string; /* where nothing is known of what is usual */
    warn?: boolean;
    data: SeriesData;
    usual?: Reference | null;
    href: string;
}

const POINTS = 60;

/* How the last five minutes stand against the same time on the days before. */
function against_usual(d: SeriesData, values: (number | null)[], reference: Reference) {
    const end_ms = d.input!.start_ms + values.length * d.step_ms;
    const usual = usual_at(end_ms - NOW_MS / 2, reference);
    const now = mean_of_last(values, Math.round(NOW_MS / d.step_ms));
    const found = usual === null || now === null ? null : deviation(now, usual);
    if (usual === null || found === null) {
        return null;
    }
    const about = `usual: the median of ${clock(end_ms - NOW_MS, false)} to ${clock(end_ms, false)} UTC on ${usual.days} of the 7 days before; the grey band holds eight days of ten`;
    return { text: found.outside ? `${deviation_text(found.percent)} vs usual ${clock(end_ms, false)}` : 'within usual range', matters: found.matters, about };
}

function Tile(p: TileProps) {
    const values = both_ways(p.data);
    const shown = thin(values, POINTS);
    const said = p.usual && values.length > 0 ? against_usual(p.data, values, p.usual) : null;
    const piece_ms = values.length > 0 ? (values.length * p.data.step_ms) / shown.length : 0;
    const band = said ? shown.map((_, i) => usual_at(p.data.input!.start_ms + (i + 0.5) * piece_ms, p.usual!)) : undefined;
    const warn = p.warn === true || said?.matters === true;
    return (
        <a class={`kpi ${warn ? 'warn' : ''}`} href={p.href} title={said?.about}>
            <span class="l">{p.label}</span>
            <span class="v">
                {p.value}
                {p.value !== NONE && <small>{p.unit}</small>}
            </span>
            <span class="d">{said?.text ?? p.note}</span>
            <Spark values={shown} width={78} height={34} class={warn ? 'warn' : ''} band={band} />
        </a>
    );
}

export function Tiles() {
    follow_charts();
    const bps = use_series({ metric: 'bps', by: 'none', points: 120 }).value;
    const pps = use_series({ metric: 'pps', by: 'none', points: 120 }).value;
    const flows = use_series({ metric: 'flows', by: 'none', points: 120 }).value;
    const fresh = use_series({ metric: 'new_flows', by: 'none', points: 120 }).value;
    const rtt = use_series({ metric: 'rtt', by: 'none', points: 120 }).value;
    const loss = use_series({ metric: 'loss', by: 'none', points: 120 }).value;
    const usual = { bps: use_usual('bps'), pps: use_usual('pps'), flows: use_usual('flows'), fresh: use_usual('new_flows'), rtt: use_usual('rtt') };

    /* live: the latest frame; held or a fixed range: the last value on screen */
    const t = is_live.value ? totals.value : null;
    const last = (d: SeriesData, side: 'input' | 'output' = 'input') => (d[side] && d.keys.length ? d[side]!.last(0) : null);
    const both = (a: number | null, b: number | null) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
    const into = t ? t.bps_in : last(bps);
    const out = t ? t.bps_out : last(bps, 'output');
    const rate = both(into, out);
    const packets = t ? t.pps : both(last(pps), last(pps, 'output'));
    const active = t ? t.flows : last(flows);
    const new_ps = t ? t.new_ps : last(fresh);
    const rtt_ms = t ? t.rtt_ms : last(rtt);
    const loss_ppm = t ? t.loss_ppm : last(loss);

    const show = (v: number | null, unit: string): [string, string] => {
        if (v === null) {
            return [NONE, ''];
        }
        const s = scaled(v);
        return [s.value, `${s.prefix}${unit}`];
    };
    const peak = (d: SeriesData) => {
        const known = d.input && d.keys.length ? d.input.column(0).filter((v): v is number => v !== null) : [];
        return known.length ? Math.max(...known) : null;
    };
    let worst: { name: string; ppm: number } | null = null;
    for (const [id, s] of live_sensors.value) {
        if (s.loss_ppm !== null && s.loss_ppm > (worst?.ppm ?? 0)) {
            worst = { name: sensor_name(id), ppm: s.loss_ppm };
        }
    }
    const [rate_value, rate_unit] = show(rate, 'bit/s');
    const [packet_value, packet_unit] = show(packets, '/s');
    const [new_value, new_unit] = show(new_ps, '/s');
    const lossy = (loss_ppm ?? 0) >= LOSS_MATTERS_PPM || (worst?.ppm ?? 0) >= LOSS_MATTERS_PPM;
    /* the value now counts too: the series may be a frame behind */
    const top = (d: SeriesData, now: number | null, words: (v: number) => string) => {
        const high = Math.max(peak(d) ?? -Infinity, now ?? -Infinity);
        return Number.isFinite(high) ? words(high) : '';
    };
    return (
        <div class="kpis">
            <Tile label="Throughput" value={rate_value} unit={rate_unit} data={bps} usual={usual.bps} href={href('overview', { by: 'direction' })} note={into === null && out === null ? 'no data yet' : `in ${si(into)} · out ${si(out)}`} />
            <Tile label="Packets" value={packet_value} unit={packet_unit} data={pps} usual={usual.pps} href={href('flows', { o: 'packets desc' })} note={packets && rate !== null ? `${whole(rate / 8 / packets)}${GAP}B each` : ''} />
            <Tile label="Active flows" value={active === null ? NONE : active >= 1e6 ? show(active, '').join(GAP) : whole(active)} unit="" data={flows} usual={usual.flows} href={href('flows')} note={top(flows, active, (v) => `peak ${v >= 1e6 ? si(v) : whole(v)} in this range`)} />
            <Tile label="New flows" value={new_ps !== null && new_ps < 1e5 && new_ps >= 100 ? whole(new_ps) : new_value} unit={new_ps !== null && new_ps < 1e5 && new_ps >= 100 ? '/s' : new_unit} data={fresh} usual={usual.fresh} href={href('flows', { o: 'start_time desc' })} note={top(fresh, new_ps, (v) => `peak ${si(v)}/s in this range`)} />
            <Tile label="Median RTT" value={rtt_ms === null ? NONE : digits(rtt_ms)} unit="ms" data={rtt} usual={usual.rtt} href={href('flows', { o: 'rtt desc' })} note={rtt_ms === null ? 'not measured' : top(rtt, rtt_ms, (v) => `highest ${ms_text(v)} in this range`)} />
            <Tile
                label="Unseen packets"
                value={percent_of_ppm(loss_ppm)}
                unit="%"
                data={loss}
                href={href('sensors')}
                warn={lossy}
                note={loss_ppm === null ? 'not measured' : worst ? `${worst.name}: ${percent_of_ppm(worst.ppm)}${GAP}% lost at sensor` : 'nothing lost at the sensors'}
            />
        </div>
    );
}
