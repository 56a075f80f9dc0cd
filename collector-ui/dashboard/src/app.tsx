/* The frame of all pages: top bar, rail (tabs on a phone), status strip, banners, help. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Banner, step } from './frame/banner';
import { Help } from './frame/help';
import { Page } from './frame/page';
import { pages_shown, Rail, TITLES } from './frame/rail';
import { shift_range, zoom_out } from './frame/range';
import { Status } from './frame/status';
import { TimeMenu } from './frame/time_menu';
import { LivePill, Search } from './frame/top';
import { use_keys } from './keys';
import { safe } from './lib/format';
import type { PageName } from './lib/route';
import { announce, connection, go, go_live, hello, href, is_live, open_shown, param, patch, pause, route, silent_since, toggle_pause } from './live/store';
import { Icon, Mark } from './ui/icons';
import { PerfPanel } from './ui/perf_panel';
import { toggle_theme } from './ui/theme';
import { UserMenu } from './ui/user_menu';

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
