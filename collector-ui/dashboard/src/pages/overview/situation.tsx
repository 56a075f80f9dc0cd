/* The sentence on top of the overview: what needs attention, if anything. */
import { clock, safe } from '../../lib/format';
import { situation } from '../../lib/situation';
import { alerts, alerts_state, connection, href, is_shown, last_good_ms, live_sensors, open_hidden, paused_at, sensor_name, sensors } from '../../live/store';
import { Severity } from '../../ui/icons';

function sensor_health() {
    return (
        sensors.value?.map((s) => ({ name: s.name, state: s.state, loss_ppm: live_sensors.value.get(s.id)?.loss_ppm ?? null })) ?? null
    );
}

export function SituationLine() {
    const known = alerts_state.value === 'ready' || alerts.value.size > 0 ? [...alerts.value.values()] : null;
    const s = situation(known?.filter(is_shown) ?? null, sensor_health(), connection.value.state !== 'lost', sensor_name, open_hidden.value);
    const at = paused_at.value ?? last_good_ms.value;
    return (
        <div class="sit">
            <span class="sit-mark">{s.level === 'unknown' ? <span class="dim">○</span> : <Severity level={s.level} />}</span>
            <p>
                {s.phrases.map((p, i) =>
                    p.link ? (
                        <a key={i} href={href(p.link.page, p.link.params)}>
                            {safe(p.text)}
                        </a>
                    ) : (
                        <span key={i} class="dim">
                            {safe(p.text)}
                        </span>
                    ),
                )}
            </p>
            <span class="sp" />
            <time>{at === null ? '' : `${clock(at)} UTC`}</time>
        </div>
    );
}
