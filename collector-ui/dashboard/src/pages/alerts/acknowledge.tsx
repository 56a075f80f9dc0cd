/* Somebody has seen these alerts: with a word about them, or without. */
import { useSignal } from '@preact/signals';
import { plural, safe } from '../../lib/format';
import { type Alert } from '../../live/records';
import { post } from '../../live/rest';
import { load_alerts } from '../../live/store';
import { Dialog } from '../../ui/dialog';
import { problem_text } from '../../ui/parts';

/* As many as one call takes. */
const AT_ONCE = 1000;

export async function acknowledge(alerts: Alert[], comment: string, undo = false): Promise<void> {
    for (let i = 0; i < alerts.length; i += AT_ONCE) {
        await post('/v1/alerts:acknowledge', { alert_ids: alerts.slice(i, i + AT_ONCE).map((a) => a.id), comment, undo });
    }
    await load_alerts();
}

export function AcknowledgeDialog({ alerts, close }: { alerts: Alert[]; close: (done: boolean) => void }) {
    const comment = useSignal('');
    const state = useSignal<{ busy: boolean; error: unknown }>({ busy: false, error: null });
    const go = async () => {
        if (state.value.busy) {
            return;
        }
        state.value = { busy: true, error: null };
        try {
            await acknowledge(alerts, comment.value.trim());
            close(true);
        } catch (error) {
            state.value = { busy: false, error };
        }
    };
    return (
        <Dialog title={`Acknowledge ${plural(alerts.length, 'alert')}`} class="say" close={() => close(false)}>
            <p class="dim">They stay in the history, hidden from the list until they become worse. Receivers are not told of them again.</p>
            <label class="field">
                <span>Comment</span>
                <input
                    data-first
                    type="text"
                    maxLength={500}
                    placeholder="what it is, who looks at it"
                    value={comment.value}
                    onInput={(e) => (comment.value = e.currentTarget.value)}
                    onKeyDown={(e) => e.key === 'Enter' && void go()}
                />
            </label>
            {state.value.error !== null && (
                <p class="fault-text" role="alert">
                    {safe(problem_text(state.value.error).text)}
                </p>
            )}
            <div class="acts">
                <button type="button" class="btn small primary" disabled={state.value.busy} onClick={() => void go()}>
                    Acknowledge
                </button>
                <button type="button" class="btn small" onClick={() => close(false)}>
                    Cancel
                </button>
            </div>
        </Dialog>
    );
}
