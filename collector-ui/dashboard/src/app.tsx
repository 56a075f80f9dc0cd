/* The frame of all pages: top bar, rail (tabs on a phone), status strip, banners, help. Pages are loaded when first shown. */
import { useSignal } from '@preact/signals';
import { Component, type ComponentChildren, type ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { bindings, use_keys } from './keys';
import { ago, clock, moment, ms, NONE, plural, safe, span, whole } from './lib/format';
import { search_to_filter } from './lib/filter';
import { format_range, parse_instant, type PageName, type Range } from './lib/route';
import { why_not } from './lib/session';
import { session } from './live/session';
import { now_ms } from './live/socket';
import {
    announce, connection, go, go_live, hello, held, href, is_live, is_shown, last_good_ms, live, open_shown, param, patch, pause, paused_at, perf, range,
    RATES, rate_hz, route, sensors, server_now, set_range, set_rate, silent_since, toggle_pause, view, alerts,
} from './live/store';
import { Icon, Mark, Severity } from './ui/icons';
import { Menu } from './ui/menu';
import { use_seconds } from './ui/parts';
import { PerfPanel } from './ui/perf_panel';
import { toggle_theme } from './ui/theme';
import { UserMenu } from './ui/user_menu';
import { Overview } from './pages/overview';

const TITLES: Record<PageName, string> = { overview: 'Overview', sensors: 'Sensors', flows: 'Flows', hosts: 'Hosts', map: 'Map', alerts: 'Alerts', packets: 'Packets', system: 'System' };

const LAZY: Partial<Record<PageName, () => Promise<ComponentType>>> = {
    flows: () => import('./pages/flows').then((m) => m.Flows),
    hosts: () => import('./pages/hosts').then((m) => m.Hosts),
    map: () => import('./pages/map').then((m) => m.ServiceMapPage),
    sensors: () => import('./pages/sensors').then((m) => m.Sensors),
    alerts: () => import('./pages/alerts').then((m) => m.Alerts),
    system: () => import('./pages/system').then((m) => m.System),
    packets: () => import('./pages/packets').then((m) => m.Packets),
};

/* One page that fails leaves the frame and the others alive. */
class Fence extends Component<{ children: ComponentChildren }, { error: unknown }> {
    state = { error: null as unknown };
    componentDidCatch(error: unknown) {
        console.error(error);
        this.setState({ error });
    }
    render() {
        if (this.state.error === null) {
            return this.props.children;
        }
        return (
            <div class="state" role="alert">
                <p>
                    <b>This page failed to draw.</b>
                    <br />
                    {safe(this.state.error instanceof Error ? this.state.error.message : '')}
                </p>
                <button type="button" class="btn" onClick={() => this.setState({ error: null })}>
                    Try again
                </button>
            </div>
        );
    }
}

const loaded = new Map<PageName, ComponentType>([['overview', Overview]]);

function Page({ name }: { name: PageName }) {
    const [, redraw] = useState(0);
    const [failed, set_failed] = useState(false);
    const ready = loaded.get(name);
    const connected = connection.value.state === 'open';
    const was_lost = useRef(false);
    useEffect(() => {
        if (failed && connected && was_lost.current) {
            location.reload(); /* a browser may remember that the import failed; the address holds the rest */
        }
        was_lost.current = !connected;
    }, [failed, connected]);
    useEffect(() => {
        if (ready) {
            return;
        }
        let wanted = true;
        LAZY[name]!()
            .then((page) => {
                loaded.set(name, page);
                if (wanted) {
                    redraw((n) => n + 1);
                }
            })
            .catch(() => wanted && set_failed(true));
        return () => {
            wanted = false;
        };
    }, [name]);
    if (failed) {
        return (
            <div class="state" role="alert">
                <p>
                    <b>This page could not be loaded.</b> {connected ? 'The collector may have been updated.' : 'It comes as soon as the collector answers again.'}
                </p>
                {connected && (
                    <button type="button" class="btn" onClick={() => location.reload()}>
                        Reload
                    </button>
                )}
            </div>
        );
    }
    const P = ready;
    return P ? (
        <Fence>
            <P />
        </Fence>
    ) : (
        <div class="state" />
    );
}

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

function TimeMenu() {
    const [from, set_from] = useState('');
    const [to, set_to] = useState('');
    const [wrong, set_wrong] = useState(false);
    use_seconds(is_live.value);
    const r = range.value;
    const { from_ms, to_ms } = view();
    const name = range_name(r);
    const minutes = r?.kind === 'live' || to_ms - from_ms > 600_000;
    return (
        <Menu
            label={`Time range: ${name.long}`}
            class="time"
            button={
                <>
                    <Icon name="clock" />
                    <b class="hide-m">{name.long}</b>
                    <b class="only-m">{name.short}</b>
                    {r && (
                        <span class="dim hide-m">
                            {moment(from_ms, to_ms, !minutes)} – {clock(to_ms, !minutes)} UTC
                        </span>
                    )}
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

const rate_name = (hz: number) => (hz < 1 ? `${1 / hz} s` : hz === 1 ? '1 s' : `${hz} Hz`);

function LivePill() {
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
            label={`Live, each ${rate_name(rate_hz.value)}. Change the rate`}
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

function Search() {
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

function pages_shown(): PageName[] {
    const list: PageName[] = ['overview', 'sensors', 'flows', 'hosts', 'map', 'alerts'];
    if (hello.value?.caps.packets !== false) {
        list.push('packets');
    }
    list.push('system');
    return list;
}

/* On a phone the others are behind one more tab. */
const ON_PHONES: PageName[] = ['overview', 'flows', 'hosts', 'alerts'];

function Rail() {
    const count = open_shown.value ?? 0;
    const worst = [...alerts.value.values()].some((a) => a.open && is_shown(a) && (a.severity === 'critical' || a.severity === 'high'));
    return (
        <nav class="rail" aria-label="Pages">
            {pages_shown().map((name) => (
                <a key={name} href={href(name)} class={`${route.value.page === name ? 'on' : ''} ${ON_PHONES.includes(name) ? '' : 'hide-m'}`} aria-current={route.value.page === name ? 'page' : undefined}>
                    <Icon name={name} size={19} />
                    {TITLES[name]}
                    {name === 'alerts' && count > 0 && (
                        <span class={`n ${worst ? '' : 'mild'}`} aria-label={`${count} open`}>
                            {count > 99 ? '99+' : count}
                        </span>
                    )}
                </a>
            ))}
            <More />
        </nav>
    );
}

function More() {
    const others = pages_shown().filter((name) => !ON_PHONES.includes(name));
    const here = others.find((name) => name === route.value.page);
    return (
        <Menu
            label="More pages"
            class={`tab ${here ? 'on' : ''}`}
            button={
                <>
                    <Icon name={here ?? 'more'} size={19} />
                    {here ? TITLES[here] : 'More'}
                </>
            }
        >
            {(close) =>
                others.map((name) => (
                    <button
                        type="button"
                        key={name}
                        class={name === here ? 'on' : ''}
                        onClick={() => {
                            close();
                            go(name);
                        }}
                    >
                        {TITLES[name]}
                    </button>
                ))
            }
        </Menu>
    );
}

function history_text(): string {
    const list = hello.value?.history ?? [];
    return list.map((h) => `${span(h.step_ms)} × ${span(h.span_s * 1000)}`).join(' · ');
}

function Status(props: { help: () => void }) {
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

function Banner() {
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

function step(by_ms: number): void {
    const at = paused_at.value;
    if (at !== null) {
        patch({ at: String(Math.min(Math.floor(server_now()), at + by_ms)) });
    }
}

/* Back, forth, and out: a live range becomes a fixed one. */
function shift_range(part: number): void {
    const { from_ms, to_ms } = view();
    const by = (to_ms - from_ms) * part;
    set_range({ kind: 'fixed', from_ms: Math.floor(from_ms + by), to_ms: Math.floor(to_ms + by) });
}

function zoom_out(): void {
    const { from_ms, to_ms } = view();
    const half = (to_ms - from_ms) / 2;
    const r = range.value;
    if (r?.kind === 'live' && paused_at.value === null) {
        set_range({ kind: 'live', span_ms: Math.min(r.span_ms * 2, 31 * 86_400_000) });
    } else {
        set_range({ kind: 'fixed', from_ms: Math.floor(from_ms - half), to_ms: Math.floor(to_ms + half) });
    }
}

function Help({ close }: { close: () => void }) {
    const box = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        box.current?.showModal();
    }, []);
    const groups = new Map<string, { keys: string; does: string }[]>();
    for (const b of bindings.value) {
        groups.set(b.group, [...(groups.get(b.group) ?? []), b]);
    }
    return (
        <dialog ref={box} class="help" onClose={close} aria-label="Keyboard shortcuts">
            <header>
                <h2>Keyboard</h2>
                <button type="button" class="btn small" onClick={() => box.current?.close()}>
                    Close
                </button>
            </header>
            <div class="help-cols">
                {[...groups].map(([name, list]) => (
                    <section key={name}>
                        <h3>{name}</h3>
                        <dl>
                            {list.map((b) => [
                                <dt key={b.keys}>
                                    {b.keys.split(', ').map((k) => (
                                        <kbd key={k}>{k}</kbd>
                                    ))}
                                </dt>,
                                <dd key={b.keys + 'd'}>{b.does}</dd>,
                            ])}
                        </dl>
                    </section>
                ))}
            </div>
            <p class="dim">
                NetScope {hello.value?.version ?? ''} · MIT · <a href="/assets/notices.txt">third-party licences</a>
            </p>
        </dialog>
    );
}

export function App() {
    const help = useSignal(false);
    const page = route.value.page;
    const shown = pages_shown().includes(page) ? page : 'overview';
    const nav = (key: string, to: PageName) => ({ keys: `g ${key}`, does: TITLES[to], group: 'Go to', run: () => go(to) });
    use_keys([
        { keys: '/', does: 'search', group: 'Everywhere', run: () => document.getElementById('search')?.focus() },
        { keys: 'space', does: 'pause, resume', group: 'Everywhere', run: toggle_pause },
        { keys: '.', does: 'step 10 s while paused', group: 'Everywhere', run: () => step(10_000) },
        { keys: '[', does: 'earlier', group: 'Everywhere', run: () => shift_range(-0.5) },
        { keys: ']', does: 'later', group: 'Everywhere', run: () => shift_range(0.5) },
        { keys: '-', does: 'zoom out', group: 'Everywhere', run: zoom_out },
        { keys: 't', does: 'dark or light', group: 'Everywhere', run: toggle_theme },
        { keys: 'p', does: 'performance', group: 'Everywhere', run: () => patch({ perf: param('perf') ? '' : '1' }, true) },
        { keys: '?', does: 'this help', group: 'Everywhere', run: () => (help.value = true) },
        nav('o', 'overview'), nav('s', 'sensors'), nav('f', 'flows'), nav('h', 'hosts'), nav('m', 'map'), nav('a', 'alerts'), nav('p', 'packets'), nav('y', 'system'),
    ]);
    useEffect(() => {
        const count = open_shown.value ?? 0;
        document.title = `${count > 0 ? `(${count}) ` : ''}${TITLES[shown]} · NetScope`;
    }, [shown, open_shown.value]);
    const overlay = param('perf') === '1' || new URLSearchParams(location.search).get('perf') === '1';

    return (
        <div class={`shell ${connection.value.state === 'lost' || silent_since.value !== null ? 'lost' : ''}`}>
            <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), document.getElementById('main')?.focus())}>
                Skip to the page
            </a>
            <header class="top">
                <a class="brand" href={href('overview')} aria-label="NetScope, overview">
                    <Mark />
                </a>
                <h1 class="title">
                    {TITLES[shown]} <small>{safe(hello.value?.server ?? '')}</small>
                </h1>
                <Search />
                <span class="sp" />
                <TimeMenu />
                <LivePill />
                <button type="button" class="btn icon hide-m" aria-label={is_live.value ? 'Pause' : 'Resume'} title={is_live.value ? 'Pause (space)' : 'Resume (space)'} onClick={() => (is_live.value ? pause() : go_live())}>
                    <Icon name={is_live.value ? 'pause' : 'play'} />
                </button>
                <button type="button" class="btn icon" aria-label="Dark or light" title="Dark or light (t)" onClick={toggle_theme}>
                    <Icon name="sun" />
                </button>
                <UserMenu />
            </header>
            <Rail />
            <main id="main" tabIndex={-1}>
                <Banner />
                <Page name={shown} key={shown} />
            </main>
            <Status help={() => (help.value = true)} />
            {overlay && <PerfPanel />}
            {help.value && <Help close={() => (help.value = false)} />}
            <div class="hear" aria-live="assertive">
                {announce}
            </div>
        </div>
    );
}
