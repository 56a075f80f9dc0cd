/* Keys that move the range of time. */
import { paused_at, range, set_range, view } from '../live/store';

/* Back, forth, and out: a live range becomes a fixed one. */
export function shift_range(part: number): void {
    const { from_ms, to_ms } = view();
    const by = (to_ms - from_ms) * part;
    set_range({ kind: 'fixed', from_ms: Math.floor(from_ms + by), to_ms: Math.floor(to_ms + by) });
}

export function zoom_out(): void {
    const { from_ms, to_ms } = view();
    const half = (to_ms - from_ms) / 2;
    const r = range.value;
    if (r?.kind === 'live' && paused_at.value === null) {
        set_range({ kind: 'live', span_ms: Math.min(r.span_ms * 2, 31 * 86_400_000) });
    } else {
        set_range({ kind: 'fixed', from_ms: Math.floor(from_ms - half), to_ms: Math.floor(to_ms + half) });
    }
}
