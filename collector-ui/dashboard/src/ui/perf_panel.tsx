/* The page about itself: how fast it draws, how old what it shows is, and how sure it is of that. Toggled with `p`. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ms, NONE, si, whole } from '../lib/format';
import { dict, hello, live, patch, perf, rate_hz } from '../live/store';
import { CopyButton } from './parts';

interface Report {
    fps: number;
    frames_s: number;
    bytes_s: number;
}

/* Measured anew each second while it is shown. */
export function use_perf(): [string, string][] {
    const [report, set_report] = useState<Report>({ fps: 0, frames_s: 0, bytes_s: 0 });
    const counted = useRef({ paints: 0, frames: live.counters.frames, bytes: live.counters.bytes, at: performance.now() });

    useEffect(() => {
        let going = true;
        const count = () => {
            counted.current.paints++;
            if (going) {
                requestAnimationFrame(count);
            }
        };
        requestAnimationFrame(count);
        const timer = window.setInterval(() => {
            const now = performance.now();
            const c = counted.current;
            const s = (now - c.at) / 1000;
            set_report({ fps: c.paints / s, frames_s: (live.counters.frames - c.frames) / s, bytes_s: (live.counters.bytes - c.bytes) / s });
            counted.current = { paints: 0, frames: live.counters.frames, bytes: live.counters.bytes, at: now };
        }, 1000);
        return () => {
            going = false;
            window.clearInterval(timer);
        };
    }, []);

    const [r50, r95, r99] = perf.render.quantiles([0.5, 0.95, 0.99]);
    const [l50, l95, l99] = perf.lag.quantiles([0.5, 0.95, 0.99]);
    const error = live.clock.error_ms;
    const heap = (performance as unknown as { memory?: { usedJSHeapSize: number } }).memory?.usedJSHeapSize;
    const rows: [string, string][] = [
        ['fps', report.fps.toFixed(0)],
        ['frames/s', `${report.frames_s.toFixed(1)} of ${rate_hz.value}`],
        ['render p50 / p95 / p99', [r50, r95, r99].map((v) => (v === null ? NONE : v.toFixed(1))).join(' / ') + ' ms'],
        ['lag p50 / p95 / p99', [l50, l95, l99].map((v) => (v === null ? NONE : v.toFixed(0))).join(' / ') + ' ms'],
        ['frames missed', whole(live.counters.missed)],
        ['merged by the collector', whole(live.counters.merged)],
        ['coalesced here', whole(perf.coalesced)],
        ['rejected / unknown', `${live.counters.rejected} / ${live.counters.unknown}`],
        ['clock offset', error === null ? NONE : `${live.clock.offset_ms >= 0 ? '+' : ''}${live.clock.offset_ms.toFixed(1)} ± ${error.toFixed(1)} ms (${live.clock.count} pings)`],
        ['received', `${si(report.bytes_s)}B/s`],
        ['heap', heap === undefined ? NONE : `${(heap / 1e6).toFixed(1)} MB`],
        ['nodes', whole(document.getElementsByTagName('*').length)],
        ['dictionary', `rev ${dict.value.rev}`],
        ['collector', `${hello.value?.server ?? NONE} ${hello.value?.version ?? ''}, tick ${ms(hello.value?.tick_ms ?? null)}`],
    ];
    if (live.last_rejected) {
        rows.push(['last rejected', live.last_rejected.slice(0, 80)]);
    }
    return rows;
}

export function PerfPanel() {
    const rows = use_perf();
    return (
        <aside class="perf" aria-label="Performance">
            <header>
                <b>Performance</b>
                <CopyButton label="Copy report" text={rows.map(([k, v]) => `${k}: ${v}`).join('\n') + `\n${navigator.userAgent}`} />
                <button type="button" class="bare" aria-label="Close" onClick={() => patch({ perf: '' }, true)}>
                    ×
                </button>
            </header>
            <dl>
                {rows.map(([k, v]) => [<dt key={k}>{k}</dt>, <dd key={k + 'v'}>{v}</dd>])}
            </dl>
        </aside>
    );
}
