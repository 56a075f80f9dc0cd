/* What a sensor saw and lost over the time on screen, as it measured it itself. */
import { useState } from 'preact/hooks';
import { percent_of_ppm, safe, si, span, GAP } from '../../lib/format';
import { use_series } from '../../live/series';
import { alerts, connection, param, patch, reload, sensor_name, set_range, view } from '../../live/store';
import { Chart } from '../../ui/chart';
import { Icon } from '../../ui/icons';
import { alert_marks } from '../../ui/marks';
import { Failed, Loading, Panel, Segments } from '../../ui/parts';

type Measure = 'bps' | 'pps' | 'flows' | 'loss';

const UNITS: Record<Measure, string> = { bps: 'bit/s', pps: 'packets/s', flows: 'flows held', loss: 'packets lost' };

export function Course({ id, wide }: { id: string; wide: boolean }) {
    const [table, set_table] = useState(false);
    const metric = (['pps', 'flows', 'loss'].includes(param('m')) ? param('m') : 'bps') as Measure;
    const data = use_series({ metric, by: 'none', points: 240, sensor: id }).value;
    const own = [...alerts.value.values()].filter((a) => a.sensors.includes(id) && a.severity !== 'info');
    return (
        <Panel
            class={`hp-chart ${wide ? 'wide' : ''}`}
            title={wide ? 'What it saw' : safe(sensor_name(id))}
            label={`What ${safe(sensor_name(id))} saw`}
            sub={
                <>
                    {UNITS[metric]}
                    {data.step_ms > 0 && ` per ${span(data.step_ms)}`}
                    {data.quality !== '' && data.quality !== 'exact' && <span class="tag">{data.quality}</span>}
                </>
            }
            tools={
                <>
                    <button type="button" class={`bare tool ${table ? 'on' : ''}`} aria-pressed={table} aria-label="Show as table" title="Show as table" onClick={() => set_table(!table)}>
                        <Icon name="table" size={14} />
                    </button>
                    <Segments<Measure>
                        label="Measure"
                        value={metric}
                        options={[
                            ['bps', 'bit/s'],
                            ['pps', 'pkt/s'],
                            ['flows', 'flows'],
                            ['loss', 'lost'],
                        ]}
                        choose={(m) => patch({ m: m === 'bps' ? '' : m }, true)}
                    />
                </>
            }
        >
            {data.state === 'error' && !data.input ? (
                <Failed what="The time series could not be read." error={data.error} retry={() => reload.value++} />
            ) : data.state === 'loading' && !data.input ? (
                <Loading rows={5} what="Reading history" />
            ) : (
                <Chart
                    data={data}
                    title={`${UNITS[metric]} of ${safe(sensor_name(id))}`}
                    unit={metric === 'loss' ? ' in a million' : metric === 'bps' ? 'bit/s' : metric === 'pps' ? '/s' : ''}
                    name={() => safe(sensor_name(id))}
                    color={() => (metric === 'loss' ? 3 : 1)}
                    window={view}
                    markers={alert_marks(own)}
                    stale={connection.value.state === 'lost'}
                    as_table={table}
                    axis={metric === 'loss' ? (v) => `${percent_of_ppm(v)}${GAP}%` : si}
                    zoom={(from_ms, to_ms) => set_range({ kind: 'fixed', from_ms: Math.floor(from_ms), to_ms: Math.ceil(to_ms) })}
                />
            )}
        </Panel>
    );
}
