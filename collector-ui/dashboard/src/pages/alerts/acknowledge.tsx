/* Somebody has seen these alerts: with a word about them, or without. */
import { useSignal } from '@preact/signals';
import { plural } from '../../lib/format';
import { type Alert } from '../../live/records';
import { post } from '../../live/rest';
import { load_alerts } from '../../live/store';
import { DeedButtons, Dialog, FirstField, use_deed } from '../../ui/dialog';

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
    const deed = use_deed(() => acknowledge(alerts, comment.value.trim()), '', close);
    return (
        <Dialog title={`Acknowledge ${plural(alerts.length, 'alert')}`} class="say" close={() => close(false)}>
            <p class="dim">They stay in the history, hidden from the list until they become worse. Receivers are not told of them again.</p>
            <FirstField label="Comment" placeholder="what it is, who looks at it" text={comment} deed={deed} />
            <DeedButtons name="Acknowledge" deed={deed} missing="" cancel={() => close(false)} />
        </Dialog>
    );
}
