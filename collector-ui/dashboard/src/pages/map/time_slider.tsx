/* Below the map's heading: the traffic of the range, and a slider that shows the map of one slice of it. */
import { useEffect, useState } from 'preact/hooks';
import { moment, si, span } from '../../lib/format';
import type { Slice } from '../../lib/slices';
import { follow_charts, use_series, type SeriesData } from '../../live/series';
import { is_live, view } from '../../live/store';
import { Icon } from '../../ui/icons';
import { use_seconds } from '../../ui/parts';

const PLAY_MS = 1500; /* each slice */
const BARS = 96;

const words = (s: Slice) => `${moment(s.from_ms, s.to_ms)} – ${moment(s.to_ms, s.to_ms)} UTC`;

/* Bars by time, not by number: a step of the collector need not be one of the slider. */
function bars(data: SeriesData, from_ms: number, to_ms: number): { x: number; wide: number; high: number }[] {
    const { input, output } = data;
    if (!input || to_ms <= from_ms) {
        return [];
    }
    const list: { x: number; wide: number; value: number }[] = [];
    for (let i = 0; i < input.size; i++) {
        const at = input.start_ms + i * data.step_ms;
        const value = (input.at(0, i) ?? 0) + (output?.at(0, i) ?? 0);
        if (at + data.step_ms > from_ms && at < to_ms && value > 0) {
            list.push({ x: (at - from_ms) / (to_ms - from_ms), wide: data.step_ms / (to_ms - from_ms), value });
        }
    }
    const top = Math.max(...list.map((b) => b.value));
    return list.map(({ x, wide, value }) => ({ x, wide, high: value / top }));
}

export function TimeSlider(props: { filter: string; slices: Slice[]; chosen: Slice | null; choose: (slice: Slice | null) => void }) {
    const [playing, set_playing] = useState(false);
    const data = use_series({ metric: 'bps', by: 'none', points: BARS, ...(props.filter ? { filter: props.filter } : {}) }).value;
    follow_charts();
    use_seconds(is_live.value);
    const { slices, chosen, choose } = props;
    const index = chosen ? slices.findIndex((s) => s.start_ms === chosen.start_ms) : -1;
    const last = slices.length - 1;

    useEffect(() => {
        if (!playing) {
            return;
        }
        if (index >= last) {
            set_playing(false);
            return;
        }
        const timer = window.setTimeout(() => choose(slices[index + 1]), PLAY_MS);
        return () => window.clearTimeout(timer);
    }, [playing, index]);

    const { from_ms, to_ms } = view();
    const share = (at: number) => `${(100 * (at - from_ms)) / Math.max(1, to_ms - from_ms)}%`;
    const said = chosen ? `${words(chosen)}, ${span(chosen.to_ms - chosen.from_ms)}` : `whole range, ${span(to_ms - from_ms)}`;
    const drawn = bars(data, from_ms, to_ms);
    return (
        <div class="ts">
            <button
                type="button"
                class="btn icon small"
                aria-label={playing ? 'Stop' : 'Play the slices of this time'}
                title={playing ? 'Stop' : 'Play: one slice after the other'}
                onClick={() => {
                    if (!playing && (index < 0 || index >= last)) {
                        choose(slices[0] ?? null);
                    }
                    set_playing(!playing);
                }}
            >
                <Icon name={playing ? 'pause' : 'play'} size={13} />
            </button>
            <div class="ts-line">
                <svg class="ts-bars" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
                    {drawn.map((b) => (
                        <rect key={b.x} x={b.x} y={1 - b.high} width={b.wide * 0.86} height={b.high} />
                    ))}
                </svg>
                {chosen && <i class="ts-window" style={{ left: share(chosen.from_ms), width: `calc(${share(chosen.to_ms)} - ${share(chosen.from_ms)})` }} />}
                <input
                    type="range"
                    min={0}
                    max={slices.length}
                    step={1}
                    value={index + 1}
                    aria-label="Slice of this time that the map shows"
                    aria-valuetext={said}
                    onInput={(e) => {
                        set_playing(false);
                        choose(slices[Number(e.currentTarget.value) - 1] ?? null);
                    }}
                />
            </div>
            <span class="ts-said num" role="status">
                {said}
            </span>
            {chosen ? (
                <button
                    type="button"
                    class="btn small"
                    onClick={() => {
                        set_playing(false);
                        choose(null);
                    }}
                >
                    Whole range
                </button>
            ) : (
                <span class="dim hide-m hide-t" title="Of the traffic in this time">
                    {data.state === 'ready' && drawn.length > 0 ? `bit/s, ${si(Math.max(0, ...sums(data)))} at most` : ''}
                </span>
            )}
        </div>
    );
}

function sums(data: SeriesData): number[] {
    return Array.from({ length: data.input?.size ?? 0 }, (_, i) => (data.input!.at(0, i) ?? 0) + (data.output?.at(0, i) ?? 0));
}
