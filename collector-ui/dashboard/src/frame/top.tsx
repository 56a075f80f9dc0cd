/* In the top bar: whether the page is live, and the way to a host, a sensor, a name. */
import { useState } from 'preact/hooks';
import { search_to_filter } from '../lib/filter';
import { ago } from '../lib/format';
import { now_ms } from '../live/socket';
import { connection, go, go_live, hello, live, paused_at, range, rate_hz, RATES, sensors, server_now, set_rate, silent_since } from '../live/store';
import { Icon, Severity } from '../ui/icons';
import { Menu } from '../ui/menu';
import { use_seconds } from '../ui/parts';

const rate_name = (hz: number) => (hz < 1 ? `${1 / hz} s` : hz === 1 ? '1 s' : `${hz} Hz`);

export function LivePill() {
    use_seconds();
    const c = connection.value;
    if (c.state === 'lost') {
        const left = c.retry_at_ms === null ? null : Math.max(0, Math.ceil((c.retry_at_ms - Date.now()) / 1000));
        return (
            <button type="button" class="btn live bad" onClick={() => live.reconnect.hurry()}>
                <Severity level="high" /> No connection <span class="hide-m">{left === null ? 'trying …' : `retry in ${left} s`}</span>
            </button>
        );
    }
    if (paused_at.value !== null) {
        return (
            <button type="button" class="btn live held" onClick={go_live}>
                <Icon name="pause" size={13} /> Paused <span class="hide-m">{ago(server_now() - paused_at.value)} · resume</span>
            </button>
        );
    }
    if (range.value?.kind === 'fixed') {
        return (
            <button type="button" class="btn" onClick={go_live}>
                <Icon name="play" size={13} /> Go live
            </button>
        );
    }
    if (silent_since.value !== null) {
        return (
            <button type="button" class="btn live bad" onClick={() => live.reopen()}>
                <Severity level="high" /> Silent <span class="hide-m">for {ago(now_ms() - silent_since.value)} · reconnect</span>
            </button>
        );
    }
    return (
        <Menu
            label={`${c.state === 'open' ? 'Live' : 'Connecting'} ${rate_name(rate_hz.value)}, change the rate`}
            class="live"
            button={
                <>
                    <i class={`pulse-dot ${live.counters.frames % 2 === 0 ? 'off' : ''}`} /> {c.state === 'open' ? 'Live' : 'Connecting'} <span class="hide-m">{rate_name(rate_hz.value)}</span>
                </>
            }
        >
            {(close) => (
                <>
                    {RATES.map((hz) => (
                        <button
                            type="button"
                            key={hz}
                            class={hz === rate_hz.value ? 'on' : ''}
                            disabled={hello.value !== null && 1000 / hz < hello.value.min_tick_ms * 0.99}
                            onClick={() => {
                                set_rate(hz);
                                close();
                            }}
                        >
                            {hz < 1 ? `Every ${1 / hz} s` : hz === 1 ? 'Every second' : `${hz} a second`}
                        </button>
                    ))}
                </>
            )}
        </Menu>
    );
}

export function Search() {
    const [text, set_text] = useState('');
    return (
        <form
            class="search"
            role="search"
            onSubmit={(e) => {
                e.preventDefault();
                const f = search_to_filter(text, sensors.value ?? []);
                if (f) {
                    set_text('');
                    (document.activeElement as HTMLElement | null)?.blur();
                    go('flows', { f });
                }
            }}
        >
            <Icon name="search" />
            <input id="search" value={text} placeholder="Go to host, sensor, port, SNI …" aria-label="Go to host, sensor, port or SNI" autocomplete="off" spellcheck={false} maxLength={300} onInput={(e) => set_text(e.currentTarget.value)} onKeyDown={(e) => e.key === 'Escape' && e.currentTarget.blur()} />
            <kbd>/</kbd>
        </form>
    );
}
