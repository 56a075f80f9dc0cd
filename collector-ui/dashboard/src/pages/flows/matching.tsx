/* The histogram above the list. */
import { use_series } from '../../live/series';
import { patch, reload, sensors, set_range } from '../../live/store';
import { Histogram } from '../../ui/histogram';
import { Dot, Empty, Failed, Panel, Segments } from '../../ui/parts';

/* Traffic of what matches, from the same filter; a collector that has none is not asked, and the panel says so. */
export function Matching(props: { filter: string; metric: 'bps' | 'pps' | 'new_flows'; all: boolean; failed: boolean }) {
    const filtered = use_series({ metric: props.metric, by: 'none', points: 72, ...(props.filter ? { filter: props.filter } : {}), ...(props.all ? { all: true } : {}) }).value;
    const summed = filtered.step_ms > 0 && !filtered.merged && (sensors.value?.length ?? 0) > 1;
    return (
        <Panel
            class="match"
            title="Matching traffic"
            sub={filtered.step_ms > 0 ? `${summed ? 'sum over sensors, ' : ''}${props.metric === 'bps' ? 'bit/s' : props.metric === 'pps' ? 'packets/s' : 'flows/s'}, a bar each ${filtered.step_ms >= 60000 ? `${filtered.step_ms / 60000} min` : `${filtered.step_ms / 1000} s`}` : ''}
            tools={
                <>
                    <span class="keys-inout hide-m">
                        <Dot slot={1} /> in <Dot slot={3} /> out
                    </span>
                    <Segments
                        label="Measure"
                        value={props.metric}
                        options={[
                            ['bps', 'bit/s'],
                            ['pps', 'pkt/s'],
                            ['new_flows', 'flows/s'],
                        ]}
                        choose={(v) => patch({ m: v === 'bps' ? '' : v }, true)}
                    />
                </>
            }
        >
            {filtered.state === 'unknown' ? (
                <Empty>This collector cannot draw traffic by filter.</Empty>
            ) : filtered.state === 'error' && !filtered.input ? (
                props.failed ? <Empty>The filter was not understood.</Empty> : <Failed what="The traffic could not be read." error={filtered.error} retry={() => reload.value++} />
            ) : (
                <Histogram data={filtered} unit={props.metric === 'bps' ? 'bit/s' : '/s'} zoom={(from_ms, to_ms) => set_range({ kind: 'fixed', from_ms: Math.floor(from_ms), to_ms: Math.ceil(to_ms) })} />
            )}
        </Panel>
    );
}
