/* What holds for the whole page: no connection, a silent collector, rights, a view that is held. */
import { ago, clock, moment, plural } from '../lib/format';
import { why_not } from '../lib/session';
import { session } from '../live/session';
import { now_ms } from '../live/socket';
import { connection, go_live, held, hello, last_good_ms, live, patch, paused_at, route, server_now, silent_since } from '../live/store';
import { Severity } from '../ui/icons';
import { use_seconds } from '../ui/parts';

export function Banner() {
    use_seconds();
    const c = connection.value;
    if (c.state === 'lost') {
        return (
            <div class="note" role="status">
                <Severity level="high" />
                <span class="say">
                    <b>{hello.value === null ? 'The collector cannot be reached.' : `Lost the collector ${ago(Date.now() - c.since_ms)} ago.`}</b>{' '}
                    {last_good_ms.value !== null && `You see data up to ${clock(last_good_ms.value)}. `}
                    Missed seconds are loaded from history after reconnect; anything that cannot be loaded is drawn as a gap.
                </span>
                <span class="sp" />
                <button type="button" class="btn small" onClick={() => live.reconnect.hurry()}>
                    Try now
                </button>
            </div>
        );
    }
    if (silent_since.value !== null) {
        return (
            <div class="note" role="status">
                <Severity level="high" />
                <span class="say">
                    <b>The collector has sent nothing for {ago(now_ms() - silent_since.value)}.</b> The connection stands: it may be busy, or hang.{' '}
                    {last_good_ms.value !== null && `You see data up to ${clock(last_good_ms.value)}.`}
                </span>
                <span class="sp" />
                <button type="button" class="btn small" onClick={() => live.reopen()}>
                    Reconnect
                </button>
            </div>
        );
    }
    const at = paused_at.value;
    const closed = route.value.page === 'packets' && hello.value !== null ? why_not(session.value, 'packets', 'The page of packets needs') : '';
    if (closed) {
        return (
            <div class="note held" role="status">
                <span class="say">{closed}</span>
            </div>
        );
    }
    if (at !== null) {
        const h = held.value;
        return (
            <div class="note held" role="status">
                <span>
                    <b>View held at {moment(at, server_now())} UTC.</b> {h.alerts > 0 && `${plural(h.alerts, 'new alert')} and `}
                    {plural(h.frames, 'frame')} since then. Nothing is lost: resume jumps to now, or step forward.
                </span>
                <span class="sp" />
                <button type="button" class="btn small" onClick={() => step(10_000)}>
                    Step 10 s
                </button>
                <button type="button" class="btn small primary" onClick={go_live}>
                    Resume <span class="hide-m">(space)</span>
                </button>
            </div>
        );
    }
    return null;
}

export function step(by_ms: number): void {
    const at = paused_at.value;
    if (at !== null) {
        patch({ at: String(Math.min(Math.floor(server_now()), at + by_ms)) });
    }
}
