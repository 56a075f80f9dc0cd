/* Little lines: a value's recent way, with gaps where nothing was measured. */
export function Spark(props: { values: (number | null)[]; width: number; height: number; class?: string; area?: boolean; from_zero?: boolean; band?: ({ low: number; high: number } | null)[] }) {
    const { values, width, height } = props;
    const known = values.filter((v): v is number => v !== null);
    if (known.length < 2) {
        return <svg class={`spark ${props.class ?? ''}`} width={width} height={height} aria-hidden="true" />;
    }
    const usual = (props.band ?? []).filter((b) => b !== null);
    const high = Math.max(...known, ...usual.map((b) => b.high));
    const low = props.from_zero ? 0 : Math.min(...known, ...usual.map((b) => b.low));
    const span = high - low || 1;
    const x = (i: number) => 1 + (i * (width - 5)) / (values.length - 1);
    const y = (v: number) => height - 3 - ((v - low) / span) * (height - 6);
    let line = '';
    let area = '';
    let open = false;
    let started = 0;
    let end: [number, number] | null = null;
    values.forEach((v, i) => {
        if (v === null) {
            if (open && end) {
                area += `L${end[0].toFixed(1)} ${height}L${started.toFixed(1)} ${height}Z`;
            }
            open = false;
            return;
        }
        const px = x(i);
        const py = y(v);
        const at = `${px.toFixed(1)} ${py.toFixed(1)}`;
        line += `${open ? 'L' : 'M'}${at}`;
        area += `${open ? 'L' : 'M'}${at}`;
        if (!open) {
            started = px;
        }
        open = true;
        end = [px, py];
    });
    const tip = end as [number, number] | null;
    if (open && tip) {
        area += `L${tip[0].toFixed(1)} ${height}L${started.toFixed(1)} ${height}Z`;
    }
    return (
        <svg class={`spark ${props.class ?? ''}`} width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
            {props.band && usual.length > 1 && <path class="spark-band" d={band_path(props.band, x, y)} />}
            {props.area && <path d={area} class="spark-area" />}
            <path d={line} class="spark-line" />
            {tip && <circle cx={tip[0]} cy={tip[1]} r="2" class="spark-end" />}
        </svg>
    );
}

/* The range that is usual, as one shape over its known places. */
function band_path(band: ({ low: number; high: number } | null)[], x: (i: number) => number, y: (v: number) => number): string {
    const known = band.flatMap((b, i) => (b === null ? [] : [{ ...b, i }]));
    const point = (i: number, v: number) => `${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
    return `M${known.map((b) => point(b.i, b.high)).join('L')}L${known.reverse().map((b) => point(b.i, b.low)).join('L')}Z`;
}

/* At most `count` values, each the mean of its piece. */
export function thin(values: (number | null)[], count: number): (number | null)[] {
    if (values.length <= count) {
        return values;
    }
    const out: (number | null)[] = [];
    for (let i = 0; i < count; i++) {
        const from = Math.floor((i * values.length) / count);
        const to = Math.max(from + 1, Math.floor(((i + 1) * values.length) / count));
        let sum = 0;
        let n = 0;
        for (let j = from; j < to; j++) {
            const v = values[j];
            if (v !== null) {
                sum += v;
                n++;
            }
        }
        out.push(n ? sum / n : null);
    }
    return out;
}
