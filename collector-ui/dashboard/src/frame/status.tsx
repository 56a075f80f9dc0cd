/* The strip below: connection, frames, lag, clock, sensors, history. */
import { ms, NONE, plural, span, whole } from '../lib/format';
import { connection, hello, live, perf, sensors, silent_since } from '../live/store';
import { Severity } from '../ui/icons';
import { use_seconds } from '../ui/parts';

function history_text(): string {
    const list = hello.value?.history ?? [];
    return list.map((h) => `${span(h.step_ms)} × ${span(h.span_s * 1000)}`).join(' · ');
}

export function Status(props: { help: () => void }) {
    use_seconds();
    const c = connection.value;
    const [, l95] = perf.lag.quantiles([0.5, 0.95]);
    const [, r95] = perf.render.quantiles([0.5, 0.95]);
    const error = live.clock.error_ms;
    const offset = Math.round(live.clock.offset_ms);
    const list = sensors.value;
    const well = list?.filter((s) => s.state === 'LIVE').length ?? 0;
    return (
        <footer class="status">
            {silent_since.value !== null ? (
                <span class="sev sev-high">
                    <Severity level="high" /> connected, silent
                </span>
            ) : c.state === 'open' ? (
                <span class="okd">● connected</span>
            ) : c.state === 'connecting' ? (
                <span>connecting …</span>
            ) : (
                <span class="sev sev-high">
                    <Severity level="high" /> disconnected, attempt {c.attempt}
                </span>
            )}
            <span>
                frame <b>{whole(live.seq)}</b>
            </span>
            <span>
                lag p95 <b>{l95 === null ? NONE : ms(Math.round(l95))}</b>
            </span>
            <span>
                render p95 <b>{ms(r95)}</b>
            </span>
            <span>
                frames missed <b>{whole(live.counters.missed)}</b>
            </span>
            <span>
                clock{' '}
                <b>{error === null ? NONE : `${offset > 0 ? '+' : offset < 0 ? '−' : ''}${Math.abs(offset)} ± ${Math.max(1, Math.ceil(error))} ms`}</b>
            </span>
            {list && (
                <span>
                    {list.length === 0 ? 'no sensor yet' : plural(list.length, 'sensor')}
                    {list.length > 0 && c.state !== 'lost' && (
                        <>
                            {' '}
                            · <b>{well === list.length ? 'all live' : `${well} live`}</b>
                        </>
                    )}
                </span>
            )}
            <span class="sp" />
            {history_text() && <span>history {history_text()}</span>}
            <button type="button" class="bare" onClick={props.help}>
                <b>?</b> shortcuts
            </button>
        </footer>
    );
}
