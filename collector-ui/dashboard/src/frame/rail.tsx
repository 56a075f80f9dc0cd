/* The pages: a rail, on a phone tabs. */
import type { PageName } from '../lib/route';
import { alerts, go, hello, href, is_shown, open_shown, route } from '../live/store';
import { Icon } from '../ui/icons';
import { Menu } from '../ui/menu';

export const TITLES: Record<PageName, string> = { overview: 'Overview', sensors: 'Sensors', flows: 'Flows', hosts: 'Hosts', map: 'Map', alerts: 'Alerts', packets: 'Packets', system: 'System' };

export function pages_shown(): PageName[] {
    const list: PageName[] = ['overview', 'sensors', 'flows', 'hosts', 'map', 'alerts'];
    if (hello.value?.caps.packets !== false) {
        list.push('packets');
    }
    list.push('system');
    return list;
}

/* On a phone the others are behind one more tab. */
const ON_PHONES: PageName[] = ['overview', 'flows', 'hosts', 'alerts'];

export function Rail() {
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
            label={here ? `${TITLES[here]}, more pages` : 'More pages'}
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
