/* The sentence on top of the overview: what needs attention, if anything. */
import { clock, safe } from '../../lib/format';
import { deviation, mean_of_last, usual_at } from '../../lib/usual';
import { situation } from '../../lib/situation';
import { alerts, alerts_state, connection, href, is_shown, last_good_ms, live_sensors, open_hidden, paused_at, sensor_name, sensors } from '../../live/store';
import { follow_charts, use_series } from '../../live/series';
import { both_ways, NOW_MS, use_usual } from '../../live/usual';
import { Severity } from '../../ui/icons';

function sensor_health() {
    return (
        sensors.value?.map((s) => ({ name: s.name, state: s.state, loss_ppm: live_sensors.value.get(s.id)?.loss_ppm ?? null })) ?? null
    );
}

/* How the traffic of the last five minutes stands against the days before, where that is worth a word. */
function use_traffic(): { percent: number; at: string } | null {
    follow_charts();
    const reference = use_usual('bps');
    const data = use_series({ metric: 'bps', by: 'none', points: 120 }).value;
    const values = both_ways(data);
    if (reference === null || values.length === 0) {
        return null;
    }
    const end_ms = data.input!.start_ms + values.length * data.step_ms;
    const usual = usual_at(end_ms - NOW_MS / 2, reference);
    const now = mean_of_last(values, Math.round(NOW_MS / data.step_ms));
    const found = usual === null || now === null ? null : deviation(now, usual);
    return found?.outside ? { percent: found.percent, at: clock(end_ms, false) } : null;
}

export function SituationLine() {
    const traffic = use_traffic();
    const known = alerts_state.value === 'ready' || alerts.value.size > 0 ? [...alerts.value.values()] : null;
    const s = situation(known?.filter(is_shown) ?? null, sensor_health(), connection.value.state !== 'lost', sensor_name, open_hidden.value, traffic);
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
