/* Open alerts, one line for each kind and target. */
import { ago, safe, whole } from '../../lib/format';
import { alert_entity, alert_group, alert_title, SEVERITIES, type Alert } from '../../live/records';
import { alerts, alerts_state, href, is_live, is_shown, last_good_ms, open_hidden, open_shown, paused_at, reload, sensor_name, server_now } from '../../live/store';
import { Severity } from '../../ui/icons';
import { Empty, Failed, Loading, Panel, use_seconds } from '../../ui/parts';

interface AlertGroup {
    worst: Alert;
    count: number;
}

/* One line for each (kind, whom). */
function group_alerts(list: Alert[]): AlertGroup[] {
    const groups = new Map<string, AlertGroup>();
    for (const a of list) {
        const key = alert_group(a);
        const size = 1 + (a.suppressed ?? 0);
        const found = groups.get(key);
        if (found) {
            found.count += size;
            if ((a.last_ms ?? 0) > (found.worst.last_ms ?? 0)) {
                found.worst = a;
            }
        } else {
            groups.set(key, { worst: a, count: size });
        }
    }
    return [...groups.values()].sort(
        (a, b) => SEVERITIES.indexOf(a.worst.severity) - SEVERITIES.indexOf(b.worst.severity) || (b.worst.last_ms ?? 0) - (a.worst.last_ms ?? 0),
    );
}

export function OpenAlerts() {
    use_seconds(is_live.value);
    const state = alerts_state.value;
    const open = [...alerts.value.values()].filter((a) => a.open && is_shown(a));
    const groups = group_alerts(open);
    const now = paused_at.value ?? (is_live.value ? server_now() : (last_good_ms.value ?? server_now()));
    const shown = groups.slice(0, 5);
    return (
        <Panel
            class="p-alerts"
            title="Open alerts"
            sub={
                <>
                    {open_shown.value ? `${whole(open.length)}, grouped` : ''}
                    {open_hidden.value > 0 && (
                        <a href={href('alerts', { state: 'open', hidden: '1' })} title="acknowledged or silenced">
                            {open_shown.value ? ', ' : ''}
                            {whole(open_hidden.value)} hidden
                        </a>
                    )}
                </>
            }
            tools={
                <a class="go" href={href('alerts')}>
                    Triage →
                </a>
            }
        >
            {typeof state === 'object' && open.length === 0 ? (
                <Failed what="The alerts could not be read." error={state.error} retry={() => reload.value++} />
            ) : state === 'loading' ? (
                <Loading rows={4} />
            ) : shown.length === 0 ? (
                <Empty>
                    <Severity level="ok" /> No alert is open.
                </Empty>
            ) : (
                <div class="al">
                    {shown.map(({ worst, count }) => (
                        <a class="ai" key={worst.id} href={href('alerts', { sel: worst.id })} title={safe(worst.description)}>
                            <Severity level={worst.severity} />
                            <span class="t">{safe(alert_title(worst))}</span>
                            <span class="w">{worst.last_ms === null ? '' : ago(now - worst.last_ms)}</span>
                            <span class="e">{safe(alert_entity(worst, sensor_name) || worst.description)}</span>
                            <span class="x">{count > 1 ? `×${whole(count)}` : ''}</span>
                        </a>
                    ))}
                    {groups.length > shown.length && (
                        <a class="more" href={href('alerts')}>
                            {groups.length - shown.length} more
                        </a>
                    )}
                </div>
            )}
        </Panel>
    );
}
