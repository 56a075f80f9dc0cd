/* The range of time: a choice of live ones, or from and to. */
import { useState } from 'preact/hooks';
import { clock, moment, span } from '../lib/format';
import { format_range, parse_instant, type Range } from '../lib/route';
import { is_live, patch, range, set_range, view } from '../live/store';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/menu';
import { use_seconds } from '../ui/parts';

const SPANS: [string, string, string][] = [
    ['now-5m..now', 'Last 5 minutes', '5 m'],
    ['now-15m..now', 'Last 15 minutes', '15 m'],
    ['now-1h..now', 'Last hour', '1 h'],
    ['now-6h..now', 'Last 6 hours', '6 h'],
    ['now-24h..now', 'Last 24 hours', '24 h'],
    ['now-7d..now', 'Last 7 days', '7 d'],
];

function range_name(r: Range | null): { long: string; short: string } {
    if (r === null) {
        return { long: '…', short: '…' };
    }
    const text = format_range(r);
    const known = SPANS.find(([v]) => v === text);
    if (known) {
        return { long: known[1], short: known[2] };
    }
    return r.kind === 'live' ? { long: `Last ${span(r.span_ms)}`, short: span(r.span_ms) } : { long: span(r.to_ms - r.from_ms), short: span(r.to_ms - r.from_ms) };
}

export function TimeMenu() {
    const [from, set_from] = useState('');
    const [to, set_to] = useState('');
    const [wrong, set_wrong] = useState(false);
    use_seconds(is_live.value);
    const r = range.value;
    const { from_ms, to_ms } = view();
    const name = range_name(r);
    const minutes = r?.kind === 'live' || to_ms - from_ms > 600_000;
    const interval = r ? `${moment(from_ms, to_ms, !minutes)} – ${clock(to_ms, !minutes)} UTC` : '';
    return (
        <Menu
            before="Time range: "
            class="time"
            button={
                <>
                    <Icon name="clock" />
                    <b class="hide-m">{name.long}</b>
                    <b class="only-m">{name.short}</b>
                    {interval && <span class="dim hide-m">{interval}</span>}
                </>
            }
        >
            {(close) => (
                <>
                    {SPANS.map(([value, text]) => (
                        <button
                            type="button"
                            key={value}
                            class={r && format_range(r) === value ? 'on' : ''}
                            onClick={() => {
                                patch({ t: value, at: '' });
                                close();
                            }}
                        >
                            {text}
                        </button>
                    ))}
                    <form
                        onSubmit={(e) => {
                            e.preventDefault();
                            const a = parse_instant(from);
                            const b = parse_instant(to);
                            if (a === null || b === null || a >= b) {
                                set_wrong(true);
                                return;
                            }
                            set_wrong(false);
                            set_range({ kind: 'fixed', from_ms: a, to_ms: b });
                            close();
                        }}
                    >
                        <label>
                            From (UTC)
                            <input value={from} placeholder={new Date(from_ms).toISOString().slice(0, 16).replace('T', ' ')} onInput={(e) => set_from(e.currentTarget.value)} />
                        </label>
                        <label>
                            To (UTC)
                            <input value={to} placeholder={new Date(to_ms).toISOString().slice(0, 16).replace('T', ' ')} onInput={(e) => set_to(e.currentTarget.value)} />
                        </label>
                        {wrong && (
                            <p class="fault-text" role="alert">
                                Write both as 2026-11-23 13:04, the first before the second.
                            </p>
                        )}
                        <button type="submit" class="btn small">
                            Show
                        </button>
                    </form>
                </>
            )}
        </Menu>
    );
}
