/* Who talks to whom: the last minute while live, else the whole range. */
import { useSignal, useSignalEffect } from '@preact/signals';
import type { Talker } from '../../lib/ribbon';
import { num } from '../../lib/format';
import { get, type Bag } from '../../live/rest';
import { href, is_live, paused_at, range, reload, sensors, view } from '../../live/store';
import { Empty, Failed, Loading, Panel } from '../../ui/parts';
import { Ribbons } from '../../ui/ribbons';

const TALKERS_EVERY_MS = 5000;
const SENSORS_SHOWN = 6; /* by name; of more their sites, where they have any */

export function Talkers() {
    const talkers = useSignal<{ rows: Talker[]; from_ms: number; to_ms: number } | null>(null);
    const failed = useSignal<unknown>(null);
    const again = useSignal(0);

    useSignalEffect(() => {
        const r = range.value;
        void reload.value;
        void paused_at.value;
        void again.value;
        if (r === null) {
            return;
        }
        const abort = new AbortController();
        const load = () => {
            const w = view();
            /* live: the last minute; a chosen range: that range */
            const from = is_live.peek() ? Math.max(w.from_ms, w.to_ms - 60_000) : w.from_ms;
            get('/v1/summary', { from: Math.floor(from), to: Math.ceil(w.to_ms) }, abort.signal)
                .then((b) => {
                    const known = sensors.peek() ?? [];
                    const only = known.length === 1 ? known[0].id : ''; /* whose the rest must be */
                    failed.value = null;
                    talkers.value = {
                        rows: (Array.isArray(b.talkers) ? (b.talkers as Bag[]) : []).map((t) => ({
                            sensor: String(t.sensor ?? '') || only, app: String(t.app ?? ''), host: String(t.host ?? ''), bytes: num(t.bytes) ?? 0,
                        })),
                        from_ms: num(b.from_ms) ?? from,
                        to_ms: num(b.to_ms) ?? w.to_ms,
                    };
                })
                .catch((error: unknown) => {
                    if (!abort.signal.aborted) {
                        failed.value = error;
                    }
                });
        };
        load();
        const timer = window.setInterval(() => {
            if (is_live.peek() && !document.hidden) {
                load();
            }
        }, TALKERS_EVERY_MS);
        return () => {
            window.clearInterval(timer);
            abort.abort();
        };
    });

    const t = talkers.value;
    const site_of = new Map((sensors.value ?? []).map((s) => [s.id, s.site]));
    const by_site = site_of.size > SENSORS_SHOWN && new Set(site_of.values()).size > 1;
    return (
        <Panel class="p-talk" title="Who talks to whom" sub={`bit/s, ${is_live.value ? 'last minute' : 'mean of this range'}`} tools={<a class="go" href={href('map')}>Map →</a>}>
            {failed.value !== null && t === null ? (
                <Failed what="The summary could not be read." error={failed.value} retry={() => again.value++} />
            ) : t === null ? (
                <Loading rows={5} />
            ) : t.rows.length === 0 ? (
                <Empty>No traffic in this time.</Empty>
            ) : (
                <Ribbons talkers={by_site ? t.rows.map((row) => ({ ...row, sensor: site_of.get(row.sensor) ?? '' })) : t.rows} site={by_site ? (name) => (sensors.value ?? []).filter((s) => s.site === name).map((s) => s.id) : undefined} seconds={Math.max(1, (t.to_ms - t.from_ms) / 1000)} />
            )}
        </Panel>
    );
}
