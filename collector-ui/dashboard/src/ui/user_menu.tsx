/* Who is logged in, what they may, and the way out; nothing where there is no login. */
import { useSignal } from '@preact/signals';
import { safe } from '../lib/format';
import { log_out, session } from '../live/session';
import { Icon } from './icons';
import { Menu } from './menu';
import { problem_text } from './parts';

const MAY: [string, string][] = [
    ['flows', 'look at flows, alerts, sensors'],
    ['triage', 'acknowledge and silence alerts'],
    ['packets', 'see packets'],
    ['config', 'change settings'],
];

export function UserMenu() {
    const fault = useSignal<unknown>(null);
    const s = session.value;
    if (s === null || s.user === '') {
        return null;
    }
    return (
        <Menu
            label={`Logged in as ${safe(s.user)}${s.role ? `, ${s.role}` : ''}`}
            class="who-am-i"
            button={
                <>
                    <Icon name="user" />
                    <b class="hide-m cut">{safe(s.user)}</b>
                </>
            }
        >
            {() => (
                <>
                    <p class="who">
                        <b>{safe(s.user)}</b> {s.role && <span class="dim">{s.role}</span>}
                    </p>
                    <ul class="may">
                        {MAY.map(([right, what]) => (
                            <li key={right} class={s.rights.includes(right) ? '' : 'no'}>
                                <Icon name={s.rights.includes(right) ? 'tick' : 'close'} size={12} /> <span class="hear">{s.rights.includes(right) ? 'may' : 'may not'} </span>
                                {what}
                            </li>
                        ))}
                    </ul>
                    {fault.value !== null && (
                        <p class="fault-text" role="alert">
                            {safe(problem_text(fault.value).text)}
                        </p>
                    )}
                    {s.by === 'session' && (
                        <button type="button" onClick={() => void log_out().catch((error) => (fault.value = error))}>
                            Log out
                        </button>
                    )}
                </>
            )}
        </Menu>
    );
}
