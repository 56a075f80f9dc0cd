/* Captures: sensors are asked for packets into a file at the collector; what runs and what is kept. Of whoever may (caps.capture). */
import { useSignal, useSignalEffect, type Signal } from '@preact/signals';
import { failures_of, missing_of, read_capture, request_of, say_outcome, type Capture, type Form } from '../../lib/capture';
import { ago, bytes, safe } from '../../lib/format';
import { get, post, remove } from '../../live/rest';
import { alerts, param, patch, sensor_name, sensors, server_now } from '../../live/store';
import { alert_entity, alert_title } from '../../live/records';
import { Empty, Failed, Loading, problem_text, use_seconds } from '../../ui/parts';

const RUNNING_MS = 1000;
const IDLE_MS = 5000;

const TIMES: [number, string][] = [[10, '10 s'], [30, '30 s'], [60, '1 min'], [300, '5 min'], [900, '15 min'], [0, 'no limit here']];
const SIZES: [number, string][] = [[1e6, '1 MB'], [10e6, '10 MB'], [100e6, '100 MB'], [0, 'no limit here']];

export function Captures() {
    const list = useSignal<Capture[] | null>(null);
    const failed = useSignal<unknown>(null);
    const again = useSignal(0);
    useSignalEffect(() => {
        void again.value;
        const abort = new AbortController();
        let timer = 0;
        const load = async () => {
            try {
                const b = await get('/v1/captures', {}, abort.signal);
                list.value = (Array.isArray(b.captures) ? b.captures : []).map(read_capture).filter((c) => c.id);
                failed.value = null;
            } catch (error) {
                failed.value = abort.signal.aborted ? failed.peek() : error;
            }
            if (!abort.signal.aborted) {
                timer = window.setTimeout(load, list.peek()?.some((c) => c.state === 'RUNNING') ? RUNNING_MS : IDLE_MS);
            }
        };
        void load();
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });
    return (
        <section class="panel cps" aria-label="Captures">
            <Bar started={() => again.value++} />
            {list.value === null ? (
                failed.value !== null ? (
                    <Failed what="The captures could not be read." error={failed.value} retry={() => again.value++} />
                ) : (
                    <Loading rows={2} />
                )
            ) : list.value.length === 0 ? (
                <Empty>No capture is kept. Packets that sensors are asked for come here as a pcapng file.</Empty>
            ) : (
                <ul class="cp-list">
                    {list.value.map((c) => (
                        <Row key={c.id} c={c} changed={() => again.value++} />
                    ))}
                </ul>
            )}
        </section>
    );
}

/* Ids in an address. */
const named = (list: string) => list.split(',').filter(Boolean);

/* Whom an alert is about, where the page knows it. */
function subject_of(id: string): string {
    const a = alerts.value.get(id);
    return a ? `${alert_title(a)}: ${alert_entity(a, sensor_name)}` : id;
}

function Bar({ started }: { started: () => void }) {
    const form = useSignal<Form>({ sensors: named(param('cs') || param('sensor')), alert: param('alert'), interface: '', bpf: param('bpf'), seconds: 30, bytes: 10e6, history: false });
    const state = useSignal<{ busy: boolean; error: unknown }>({ busy: false, error: null });
    const set = (more: Partial<Form>) => (form.value = { ...form.value, ...more });
    const missing = missing_of(form.value);
    const start = async () => {
        if (state.value.busy || missing) {
            return;
        }
        state.value = { busy: true, error: null };
        try {
            await post('/v1/captures', request_of(form.value));
            state.value = { busy: false, error: null };
            started();
        } catch (error) {
            state.value = { busy: false, error };
        }
    };
    return (
        <form
            class="cp-bar"
            onSubmit={(e) => {
                e.preventDefault();
                void start();
            }}
        >
            <label>
                <span>Sensor</span>
                <select
                    aria-label="Sensor"
                    value=""
                    onChange={(e) => {
                        set({ sensors: [...form.value.sensors, e.currentTarget.value] });
                        e.currentTarget.value = '';
                    }}
                >
                    <option value="">{form.value.sensors.length > 0 ? 'and another' : form.value.alert ? 'those that raised it' : 'choose'}</option>
                    {(sensors.value ?? []).filter((s) => !form.value.sensors.includes(s.id)).map((s) => (
                        <option key={s.id} value={s.id}>
                            {safe(s.name)}
                            {s.state === 'OFFLINE' ? ' (offline)' : ''}
                        </option>
                    ))}
                </select>
            </label>
            {form.value.alert ? (
                <div class="grow cp-subject">
                    <span>Packets of the alert</span>
                    <span class="chip">
                        <b class="cut">{safe(subject_of(form.value.alert))}</b>
                        <button type="button" aria-label="A filter instead" title="A filter instead" onClick={() => set({ alert: '' })}>
                            ×
                        </button>
                    </span>
                </div>
            ) : (
                <label class="grow">
                    <span>Filter (BPF)</span>
                    <input type="text" aria-label="Filter (BPF)" class="mono" value={form.value.bpf} placeholder="all packets, or: host 10.0.0.7 and tcp port 443" maxLength={4096} spellcheck={false} autocomplete="off" onInput={(e) => set({ bpf: e.currentTarget.value })} />
                </label>
            )}
            <label>
                <span>Interface</span>
                <input type="text" aria-label="Interface" class="short" value={form.value.interface} placeholder="all" maxLength={64} spellcheck={false} onInput={(e) => set({ interface: e.currentTarget.value })} />
            </label>
            <Choice label="For" options={TIMES} value={form.value.seconds} choose={(seconds) => set({ seconds })} />
            <Choice label="Up to" options={SIZES} value={form.value.bytes} choose={(n) => set({ bytes: n })} />
            <label class="check" title={form.value.alert ? 'Begin with what the sensors have kept (output.write_pcap), from shortly before the alert; of a closed alert until shortly after it' : 'Begin with what the sensor has written to disk (output.write_pcap)'}>
                <input type="checkbox" checked={form.value.history} onChange={(e) => set({ history: e.currentTarget.checked })} />
                <span>with history</span>
            </label>
            <button type="submit" class="btn primary" disabled={state.value.busy || missing !== ''} title={missing || undefined}>
                {state.value.busy ? 'Asking …' : 'Start'}
            </button>
            {form.value.sensors.length > 0 && (
                <div class="cp-sensors" role="group" aria-label="Sensors that capture">
                    {form.value.sensors.map((id) => (
                        <span key={id} class="chip">
                            {safe(sensor_name(id))}
                            <button type="button" aria-label={`Without ${safe(sensor_name(id))}`} onClick={() => set({ sensors: form.value.sensors.filter((one) => one !== id) })}>
                                ×
                            </button>
                        </span>
                    ))}
                    {form.value.sensors.length > 1 && <span class="dim">into one file, each with interfaces of its own</span>}
                </div>
            )}
            {state.value.error !== null && (
                <p class="fault-text" role="alert">
                    {safe(problem_text(state.value.error).text)}
                </p>
            )}
        </form>
    );
}

function Choice(props: { label: string; options: [number, string][]; value: number; choose: (v: number) => void }) {
    return (
        <label>
            <span>{props.label}</span>
            <select aria-label={props.label} value={String(props.value)} onChange={(e) => props.choose(Number(e.currentTarget.value))}>
                {props.options.map(([value, name]) => (
                    <option key={value} value={String(value)}>
                        {name}
                    </option>
                ))}
            </select>
        </label>
    );
}

function Row({ c, changed }: { c: Capture; changed: () => void }) {
    const error: Signal<unknown> = useSignal<unknown>(null);
    const is_running = c.state === 'RUNNING';
    use_seconds(is_running);
    const path = `/v1/captures/${encodeURIComponent(c.id)}`;
    const act = async (run: () => Promise<unknown>) => {
        try {
            await run();
            error.value = null;
            changed();
        } catch (e) {
            error.value = e;
        }
    };
    return (
        <li class={`cp ${c.state.toLowerCase()}`}>
            <span class="cp-state" role="img" aria-label={is_running ? 'runs' : c.state === 'FAILED' ? 'failed' : 'ended'} />
            <div class="cp-what">
                <div class="cut">
                    <b>{safe(c.sensors.map((s) => sensor_name(s.id)).join(', '))}</b> <span class="mono">{c.bpf ? safe(c.bpf) : 'all packets'}</span>
                    {c.interface && <span class="dim"> on {safe(c.interface)}</span>}
                </div>
                <div class={c.state === 'FAILED' ? 'fault-text' : 'dim'}>
                    {safe(say_outcome(c))}
                    {c.start_ms !== null && <span class="dim"> · {ago(server_now() - c.start_ms)} ago</span>}
                    {c.by && <span class="dim"> · by {safe(c.by)}</span>}
                </div>
                {failures_of(c).map((s) => (
                    <div class="fault-text" key={s.id}>
                        {safe(s.error || `${sensor_name(s.id)} failed`)}
                    </div>
                ))}
                {is_running && c.max_bytes !== null && (
                    <progress value={Math.min(c.bytes, c.max_bytes)} max={c.max_bytes} aria-label={`${bytes(c.bytes)} of at most ${bytes(c.max_bytes)}`} />
                )}
                {error.value !== null && (
                    <div class="fault-text" role="alert">
                        {safe(problem_text(error.value).text)}
                    </div>
                )}
            </div>
            <div class="acts">
                {is_running && (
                    <button type="button" class="btn small" onClick={() => void act(() => post(`${path}:cancel`, {}))}>
                        Stop
                    </button>
                )}
                {c.bytes > 0 && (
                    <a class="btn small" href={`${path}.pcapng`} download>
                        Download
                    </a>
                )}
                {!is_running && (
                    <button type="button" class="btn small" onClick={() => void act(() => remove(path))}>
                        Delete
                    </button>
                )}
            </div>
        </li>
    );
}

/* The button of the page; its state is in the address, so that a link can open it. */
export function CapturesButton() {
    const is_open = param('cap') === '1';
    return (
        <button type="button" class={`btn pick ${is_open ? 'on' : ''}`} aria-expanded={is_open} onClick={() => patch({ cap: is_open ? '' : '1', bpf: '', alert: '', cs: '' }, true)}>
            Capture
        </button>
    );
}
