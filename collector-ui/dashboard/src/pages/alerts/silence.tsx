/* A silence: why, how long, of what, and what it would hide. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { clock, moment, num, plural, safe, whole } from '../../lib/format';
import { parse_span, scopes, SPANS } from '../../lib/triage';
import { alert_title, type Alert } from '../../live/records';
import { post } from '../../live/rest';
import { load_alerts, server_now } from '../../live/store';
import { DeedButtons, Dialog, FirstField, use_deed } from '../../ui/dialog';
import { problem_text } from '../../ui/parts';

type Preview = { matched: number; total: number; open: number } | { error: unknown } | null;

export function SilenceDialog({ alerts, close }: { alerts: Alert[]; close: (done: boolean) => void }) {
    const list = scopes(alerts, alert_title);
    const chosen = useSignal(list.find((s) => s.key === 'both')?.key ?? list[0].key);
    const span = useSignal<string>(SPANS[1][0]);
    const own = useSignal('2d');
    const reason = useSignal('');
    const preview = useSignal<Preview>(null);
    const scope = list.find((s) => s.key === chosen.value) ?? list[0];
    const seconds = span.value === 'own' ? parse_span(own.value) : (SPANS.find(([name]) => name === span.value)?.[1] ?? null);

    useEffect(() => {
        const abort = new AbortController();
        preview.value = null;
        post('/v1/silences:create', { ...scope.choice, dry_run: true }, abort.signal).then(
            (b) => (preview.value = { matched: num(b.matched) ?? 0, total: num(b.total) ?? 0, open: num(b.matched_open) ?? 0 }),
            (error) => abort.signal.aborted || (preview.value = { error }),
        );
        return () => abort.abort();
    }, [chosen.value]);

    const missing = reason.value.trim() === '' ? 'A reason is needed.' : seconds === null ? 'How long: 90m, 36h, 2d or 1w.' : '';
    const deed = use_deed(
        async () => {
            await post('/v1/silences:create', { ...scope.choice, reason: reason.value.trim(), duration: `${seconds}s` });
            await load_alerts();
        },
        missing,
        close,
    );
    const until = seconds === null ? null : server_now() + seconds * 1000;
    return (
        <Dialog title={alerts.length === 1 ? 'Silence' : `Silence ${plural(alerts.length, 'alert')}`} class="say" close={() => close(false)}>
            <FirstField label="Reason" placeholder="why it is nobody's business" text={reason} deed={deed} />
            <fieldset class="field">
                <legend>What</legend>
                {list.map((s) => (
                    <label key={s.key} class="radio">
                        <input type="radio" name="scope" checked={s.key === scope.key} onChange={() => (chosen.value = s.key)} /> {safe(s.label)}
                    </label>
                ))}
            </fieldset>
            <fieldset class="field">
                <legend>How long</legend>
                <span class="row">
                    {SPANS.map(([name]) => (
                        <label key={name} class="radio">
                            <input type="radio" name="span" checked={span.value === name} onChange={() => (span.value = name)} /> {name}
                        </label>
                    ))}
                    <label class="radio">
                        <input type="radio" name="span" checked={span.value === 'own'} onChange={() => (span.value = 'own')} /> other
                    </label>
                    {span.value === 'own' && (
                        <input class="short" type="text" aria-label="How long: 90m, 36h, 2d" value={own.value} onInput={(e) => (own.value = e.currentTarget.value)} />
                    )}
                </span>
            </fieldset>
            <p class="preview" role="status">
                <PreviewText preview={preview.value} />
                {until !== null && <span class="dim"> Until {until - server_now() < 86_400_000 ? clock(until, true) : moment(until, server_now())} UTC.</span>}
            </p>
            <DeedButtons name="Silence" deed={deed} missing={missing} cancel={() => close(false)} />
        </Dialog>
    );
}

function PreviewText({ preview }: { preview: Preview }) {
    if (preview === null) {
        return <>Counting what it hides …</>;
    }
    if ('error' in preview) {
        return <span class="fault-text">{safe(problem_text(preview.error).text)}</span>;
    }
    return (
        <>
            Hides <b>{whole(preview.matched)}</b> of {whole(preview.total)} in the last 24 h{preview.open > 0 ? `, ${whole(preview.open)} of them open` : ''}.
        </>
    );
}
