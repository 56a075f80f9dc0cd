/* The ten largest flows: out of the live frames, or asked for where the range is fixed or held. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { app_name, safe, si, bytes as bytes_text } from '../../lib/format';
import { flow_key, read_flow, type Flow } from '../../live/records';
import { get } from '../../live/rest';
import { app_slot, dict, href, is_live, live_flows, paused_at, range, reload, sensors, view } from '../../live/store';
import { Dot, Empty, Failed, Loading, Middle, Panel } from '../../ui/parts';

interface TopRow {
    key: string;
    app: string;
    from: string;
    to: string;
    value: number | null;
}

function top_from_frame(): TopRow[] {
    const d = dict.value;
    return (live_flows.value ?? []).slice(0, 10).map((f) => ({
        key: flow_key(d.sensor[f.sensor]?.id ?? '', f.id),
        app: d.app[f.app]?.name ?? '',
        from: f.src,
        to: f.name || f.dst,
        value: f.bps,
    }));
}

export function TopFlows() {
    const listed = useSignal<Flow[] | null>(null);
    const failed = useSignal<unknown>(null);
    const inside = useSignal(false);
    const kept = useSignal<TopRow[]>([]);

    useSignalEffect(() => {
        const r = range.value;
        const at = paused_at.value;
        void reload.value;
        if (r === null || is_live.value) {
            return;
        }
        const w = view();
        const abort = new AbortController();
        get('/v1/flows', { order_by: at !== null ? 'rate desc' : 'bytes desc', page_size: 10, from: Math.floor(at !== null ? at - 60_000 : w.from_ms), to: Math.ceil(w.to_ms) }, abort.signal)
            .then((b) => {
                listed.value = (Array.isArray(b.flows) ? b.flows : []).map(read_flow);
                failed.value = null;
            })
            .catch((error: unknown) => {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            });
        return () => abort.abort();
    });
    const live = is_live.value;
    const held = paused_at.value !== null;
    /* rows do not change places under the pointer */
    if (live && live_flows.value !== null && !inside.value) {
        kept.value = top_from_frame();
    } else if (live && inside.value) {
        const now = new Map(top_from_frame().map((r) => [r.key, r]));
        kept.value = kept.peek().map((r) => ({ ...r, value: now.get(r.key)?.value ?? r.value }));
    }
    const rows: TopRow[] | null = live
        ? live_flows.value === null
            ? null
            : kept.value
        : (listed.value?.map((f) => ({ key: f.key, app: f.app, from: f.client_ip, to: f.server_name || f.server_ip, value: held ? f.bps : (f.bytes_ab ?? 0) + (f.bytes_ba ?? 0) })) ?? null);
    const rate = live || held;
    const top = Math.max(1, ...(rows ?? []).map((r) => r.value ?? 0));
    return (
        <Panel
            class="p-top"
            title="Top flows"
            sub={live ? `bit/s, now${(sensors.value?.length ?? 0) > 1 ? ', of each sensor' : ''}` : held ? 'bit/s, then' : 'bytes in this range'}
            tools={
                <a class="go" href={href('flows', { o: rate ? 'rate desc' : 'bytes desc' })}>
                    Explore →
                </a>
            }
        >
            {failed.value !== null && !live ? (
                <Failed what="The flows could not be read." error={failed.value} retry={() => reload.value++} />
            ) : rows === null ? (
                <Loading rows={6} />
            ) : rows.length === 0 ? (
                <Empty>No flows {live ? 'now' : 'in this range'}.</Empty>
            ) : (
                <div class="tf" onPointerEnter={() => (inside.value = true)} onPointerLeave={() => (inside.value = false)}>
                    {rows.map((r) => (
                        <a class="tr" key={r.key} href={href('flows', { sel: r.key, o: rate ? 'rate desc' : 'bytes desc' })} title={safe(`${r.from} → ${r.to}, ${app_name(r.app)}`)}>
                            <Dot slot={app_slot(r.app)} />
                            <span class="who">
                                {safe(r.from)}
                                <span> → </span>
                                <Middle text={r.to} />
                            </span>
                            <span class="lenbar">
                                <i class={`k${app_slot(r.app)}`} style={{ width: `${Math.max(1, (100 * (r.value ?? 0)) / top)}%` }} />
                            </span>
                            <span class="num">{rate ? si(r.value) : bytes_text(r.value)}</span>
                        </a>
                    ))}
                </div>
            )}
        </Panel>
    );
}
