/* All silences: those that are on, and those that are over as long as the collector keeps them. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { moment, parse_time, safe } from '../../lib/format';
import { read_silence, type Silence } from '../../lib/triage';
import { kind_title } from '../../live/records';
import { get, post } from '../../live/rest';
import { hello, load_alerts, server_now } from '../../live/store';
import { Dialog } from '../../ui/dialog';
import { Empty, Loading, problem_text } from '../../ui/parts';

export function SilencesDialog({ close }: { close: () => void }) {
    const list = useSignal<Silence[] | null>(null);
    const fault = useSignal<unknown>(null);
    const load = async () => {
        try {
            const b = await get('/v1/silences', { include_ended: 'true' });
            list.value = (Array.isArray(b.silences) ? b.silences : []).map(read_silence);
            fault.value = null;
        } catch (error) {
            fault.value = error;
        }
    };
    const end = async (id: string) => {
        try {
            await post(`/v1/silences/${encodeURIComponent(id)}:delete`, {});
            await load_alerts();
        } catch (error) {
            fault.value = error;
        }
        await load();
    };
    useEffect(() => void load(), []);
    return (
        <Dialog title="Silences" class="say wide" close={close}>
            {fault.value !== null && (
                <p class="fault-text" role="alert">
                    {safe(problem_text(fault.value).text)}
                </p>
            )}
            {list.value === null ? (
                fault.value === null && <Loading rows={3} />
            ) : list.value.length === 0 ? (
                <Empty>Nothing is silenced. Choose an alert and press s.</Empty>
            ) : (
                <ul class="silences">
                    {list.value.map((s) => (
                        <li key={s.id} class={s.state === 'ACTIVE' ? '' : 'closed'}>
                            <div>
                                <b>{safe(what(s))}</b>
                                <br />
                                {safe(s.reason)}
                                <br />
                                <span class="dim">
                                    {safe(s.by)}, {time(s.created)} · {ending(s)}
                                </span>
                            </div>
                            {s.state === 'ACTIVE' && hello.value?.caps.ack && (
                                <button type="button" class="btn small" onClick={() => void end(s.id)}>
                                    End it
                                </button>
                            )}
                        </li>
                    ))}
                </ul>
            )}
        </Dialog>
    );
}

function what(s: Silence): string {
    const kinds = s.kinds.map(kind_title).join(', ') || 'All kinds';
    return `${kinds}${s.whom ? `, ${s.whom}` : ''}${s.max_severity ? `, ${s.max_severity} at most` : ''}`;
}

function time(value: unknown): string {
    const ms = parse_time(value);
    return ms === null ? '' : moment(ms, server_now());
}

function ending(s: Silence): string {
    if (s.state === 'DELETED') {
        return `ended by ${safe(s.deleted_by)}, ${time(s.deleted)}`;
    }
    return s.state === 'ACTIVE' ? `until ${time(s.expires)} UTC` : `over since ${time(s.expires)}`;
}
