/* Alerts: one line for each (kind, whom), the worst first; beside it why it was raised and what shows it. */
import { useSignal } from '@preact/signals';
import { use_keys } from '../keys';
import { ago, moment, plural, safe, whole, NONE } from '../lib/format';
import { alert_entity, alert_filter, alert_group, alert_title, SEVERITIES, type Alert } from '../live/records';
import { alerts, alerts_state, go, hello, hidden_wanted, is_live, is_shown, notes, param, patch, paused_at, reload, sensor_name, server_now, subscribe, view, why_hidden } from '../live/store';
import { use_mount } from '../ui/chart';
import { Icon, Severity } from '../ui/icons';
import { WindowedList } from '../ui/list';
import { Empty, Failed, Loading, Panel, problem_text, Segments, use_seconds } from '../ui/parts';
import { acknowledge, AcknowledgeDialog } from './alerts/acknowledge';
import { can_capture, capture_alert } from './alerts/capture';
import { Detail, type Acts } from './alerts/detail';
import { SilenceDialog } from './alerts/silence';
import { SilencesDialog } from './alerts/silences';
import { When } from './alerts/when';

type Which = 'open' | 'all';

type Asking = { what: 'acknowledge' | 'silence'; alerts: Alert[] } | { what: 'silences' } | null;

interface Line {
    key: string;
    worst: Alert;
    count: number;
    first_ms: number | null;
    last_ms: number | null;
    members: Alert[];
}

function lines(list: Alert[]): Line[] {
    const groups = new Map<string, Line>();
    for (const a of list) {
        const key = alert_group(a);
        const size = 1 + (a.suppressed ?? 0);
        const g = groups.get(key);
        if (!g) {
            groups.set(key, { key, worst: a, count: size, first_ms: a.first_ms, last_ms: a.last_ms, members: [a] });
            continue;
        }
        g.members.push(a);
        g.count += size;
        g.first_ms = Math.min(g.first_ms ?? Infinity, a.first_ms ?? Infinity);
        g.last_ms = Math.max(g.last_ms ?? 0, a.last_ms ?? 0);
        if ((a.open && !g.worst.open) || (a.open === g.worst.open && (a.last_ms ?? 0) > (g.worst.last_ms ?? 0))) {
            g.worst = a;
        }
    }
    return [...groups.values()].sort(
        (a, b) =>
            Number(b.worst.open) - Number(a.worst.open) ||
            SEVERITIES.indexOf(a.worst.severity) - SEVERITIES.indexOf(b.worst.severity) ||
            (b.last_ms ?? 0) - (a.last_ms ?? 0),
    );
}

export function Alerts() {
    use_mount(() => subscribe({}));
    use_seconds(is_live.value);
    const which: Which = param('state') === 'open' ? 'open' : 'all';
    const level = param('sev');
    const selected = param('sel');
    const held = useSignal<{ inside: boolean; order: string[] }>({ inside: false, order: [] });

    const marked = useSignal<ReadonlySet<string>>(new Set());
    const asking = useSignal<Asking>(null);
    const fault = useSignal<unknown>(null);

    const all = [...alerts.value.values()];
    const of_choice = all.filter((a) => (which === 'all' || a.open) && (level === '' || a.severity === level));
    const with_hidden = hidden_wanted();
    const hidden = of_choice.filter((a) => !is_shown(a));
    const matching = with_hidden ? of_choice : of_choice.filter((a) => is_shown(a) || a.id === selected);
    let rows = lines(matching);
    /* no changing of places under the pointer or beside an open detail */
    if (held.value.inside || selected) {
        const place = new Map(held.peek().order.map((k, i) => [k, i]));
        if (place.size > 0) {
            rows = [...rows].sort((a, b) => (place.get(a.key) ?? -1) - (place.get(b.key) ?? -1));
        }
    }
    held.peek().order = rows.map((r) => r.key);

    const index = rows.findIndex((r) => r.members.some((m) => m.id === selected));
    const alert = index >= 0 ? (rows[index].members.find((m) => m.id === selected) ?? null) : (all.find((a) => a.id === selected) ?? null);
    const select = (i: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, i))];
        if (row) {
            patch({ sel: row.worst.id }, selected !== '');
        }
    };
    /* What keys and buttons act on: the rows marked, else the row whose detail is open. */
    const marked_rows = rows.filter((r) => marked.value.has(r.key));
    const targets = marked_rows.length > 0 ? marked_rows.flatMap((r) => r.members) : index >= 0 ? rows[index].members : alert ? [alert] : [];
    /* Whose packets: of the open detail, else of the one row marked. */
    const chosen = alert ?? (marked_rows.length === 1 ? marked_rows[0].worst : null);
    const captured = chosen && can_capture(chosen) ? chosen : null;
    const mark = (key: string) => {
        const next = new Set(marked.value);
        if (!next.delete(key)) {
            next.add(key);
        }
        marked.value = next;
    };
    const undo = async (list: Alert[]) => {
        fault.value = null;
        try {
            await acknowledge(list, '', true);
        } catch (error) {
            fault.value = error;
        }
    };
    const acts: Acts | null = hello.value?.caps.ack
        ? {
              acknowledge: (list) => list.length > 0 && (asking.value = { what: 'acknowledge', alerts: list }),
              undo: (list) => void undo(list),
              silence: (list) => list.length > 0 && (asking.value = { what: 'silence', alerts: list }),
          }
        : null;
    const acknowledge_targets = () => {
        const fresh = targets.filter((a) => !notes.value.get(a.id)?.acknowledged);
        if (targets.length > 0 && fresh.length === 0) {
            acts?.undo(targets);
        } else {
            acts?.acknowledge(fresh);
        }
    };
    const close_dialog = (done: boolean) => {
        asking.value = null;
        if (done) {
            marked.value = new Set();
        }
    };
    use_keys([
        ...(acts
            ? [
                  { keys: 'a', does: 'acknowledge, or take it back', group: 'Alerts', run: acknowledge_targets },
                  { keys: 's', does: 'silence', group: 'Alerts', run: () => acts.silence(targets) },
                  { keys: 'x', does: 'mark', group: 'Alerts', run: () => index >= 0 && mark(rows[index].key) },
              ]
            : []),
        { keys: 'h', does: 'show or hide what is acknowledged or silenced', group: 'Alerts', run: () => patch({ hidden: with_hidden ? '' : '1' }, true) },
        { keys: 'j, ArrowDown', does: 'next alert', group: 'Alerts', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'alert before', group: 'Alerts', run: () => select(index < 0 ? 0 : index - 1) },
        { keys: 'o', does: 'its flows', group: 'Alerts', run: () => alert && alert_filter(alert) && go('flows', { f: alert_filter(alert) }) },
        ...(hello.value?.caps.capture ? [{ keys: 'c', does: 'capture its packets', group: 'Alerts', run: () => captured && capture_alert(captured) }] : []),
        { keys: 'Escape', does: 'close', group: 'Alerts', run: () => patch({ sel: '' }, true) },
    ]);
    const now = paused_at.value ?? server_now();
    const between = view();
    const state = alerts_state.value;
    const counts = SEVERITIES.map((s) => [s, all.filter((a) => (which === 'all' || a.open) && a.severity === s && (with_hidden || is_shown(a))).length] as const).filter(([, n]) => n > 0);
    return (
        <div class={`al-page ${alert ? 'with-drawer' : ''}`}>
            <Panel
                class="al-list"
                title="Alerts"
                sub={`${plural(matching.length, 'alert')}${rows.length !== matching.length ? ` in ${plural(rows.length, 'group')}` : ''}`}
                tools={
                    <>
                        <span class="sevs">
                            {counts.map(([s, n]) => (
                                <button type="button" key={s} class={`chip ${level === s ? 'on' : ''}`} aria-pressed={level === s} onClick={() => patch({ sev: level === s ? '' : s }, true)}>
                                    <Severity level={s} /> {s} <b>{whole(n)}</b>
                                </button>
                            ))}
                        </span>
                        {(hidden.length > 0 || with_hidden) && (
                            <button type="button" class={`chip ${with_hidden ? 'on' : ''}`} aria-pressed={with_hidden} title="acknowledged or silenced (h)" onClick={() => patch({ hidden: with_hidden ? '' : '1' }, true)}>
                                <b>{whole(hidden.length)}</b> {with_hidden ? 'shown though acknowledged or silenced' : 'hidden'}
                            </button>
                        )}
                        <button type="button" class="chip" onClick={() => (asking.value = { what: 'silences' })}>
                            Silences
                        </button>
                        <Segments<Which>
                            label="Which alerts"
                            value={which}
                            options={[
                                ['all', 'All'],
                                ['open', 'Open'],
                            ]}
                            choose={(v) => patch({ state: v === 'all' ? '' : v }, true)}
                        />
                    </>
                }
            >
                {marked_rows.length > 0 && acts && (
                    <div class="bulk" role="toolbar" aria-label="Marked alerts">
                        <b>{plural(targets.length, 'alert')}</b> in {plural(marked_rows.length, 'marked row')}
                        <button type="button" class="btn small primary" onClick={acknowledge_targets}>
                            Acknowledge
                        </button>
                        <button type="button" class="btn small" onClick={() => acts.silence(targets)}>
                            Silence
                        </button>
                        <button type="button" class="btn small" onClick={() => (marked.value = new Set())}>
                            Unmark
                        </button>
                    </div>
                )}
                {fault.value !== null && (
                    <p class="fault-text" role="alert">
                        {safe(problem_text(fault.value).text)}
                    </p>
                )}
                {typeof state === 'object' && all.length === 0 ? (
                    <Failed what="The alerts could not be read." error={state.error} retry={() => reload.value++} />
                ) : state === 'loading' ? (
                    <Loading rows={8} />
                ) : (
                    <>
                        <div class="th al-cols" aria-hidden="true">
                            <span />
                            <span />
                            <span>Alert</span>
                            <span>Whom</span>
                            <span class="a-w">When</span>
                            <span class="num">Count</span>
                            <span class="num a-f">First</span>
                            <span class="num">Last</span>
                            <span>State</span>
                            <span />
                        </div>
                        <WindowedList
                            count={rows.length}
                            row_height={matchMedia('(max-width: 720px)').matches ? 56 : 34}
                            label="Alerts"
                            selected={index}
                            on_hover={(inside) => (held.value = { ...held.peek(), inside })}
                            choose={select}
                            empty={
                                <Empty>
                                    <Severity level="ok" /> {hidden.length > 0 ? `Nothing else: ${plural(hidden.length, 'alert')} acknowledged or silenced.` : which === 'open' ? 'No alert is open.' : level ? `No alert is ${level} in this time.` : 'No alert in this time.'}
                                </Empty>
                            }
                            row={(i) => {
                                const r = rows[i];
                                const why = why_hidden(r.worst);
                                const who = notes.value.get(r.worst.id)?.who ?? '';
                                return {
                                    key: r.key,
                                    class: `al-cols al-row ${r.worst.open ? '' : 'closed'} ${why ? 'seen' : ''}`,
                                    cells: (
                                        <>
                                            <span role="gridcell" class="a-m">
                                                {acts && (
                                                    <input type="checkbox" aria-label={`Mark ${safe(alert_title(r.worst))}`} checked={marked.value.has(r.key)} onClick={(e) => (e.stopPropagation(), mark(r.key))} />
                                                )}
                                            </span>
                                            <span role="gridcell">
                                                <Severity level={r.worst.severity} />
                                            </span>
                                            <span role="gridcell" class="a-t" title={safe(r.worst.description)}>
                                                {safe(alert_title(r.worst))} <span class="dim hide-m">{r.worst.severity}</span>
                                            </span>
                                            <span role="gridcell" class="a-e">
                                                {safe(alert_entity(r.worst, sensor_name))}
                                            </span>
                                            <span role="gridcell" class="a-w">
                                                <When list={r.members} between={between} />
                                            </span>
                                            <span role="gridcell" class="num a-n">
                                                {r.count > 1 ? `×${whole(r.count)}` : ''}
                                            </span>
                                            <span role="gridcell" class="num d a-f">
                                                {r.first_ms === null ? NONE : moment(r.first_ms, now)}
                                            </span>
                                            <span role="gridcell" class="num a-l">
                                                {r.last_ms === null ? NONE : ago(now - r.last_ms)}
                                            </span>
                                            <span role="gridcell" class="d a-s" title={why === 'acknowledged' ? `acknowledged by ${safe(who)}` : why}>
                                                {why === 'acknowledged' ? `seen by ${safe(who)}` : why || (r.worst.open ? 'open' : 'closed')}
                                            </span>
                                            <span role="gridcell" class="a-c">
                                                {can_capture(r.worst) && (
                                                    <button type="button" class="bare" title="Capture packets (c)" aria-label={`Capture packets of ${safe(alert_title(r.worst))}`} onClick={(e) => (e.stopPropagation(), capture_alert(r.worst))}>
                                                        <Icon name="packets" />
                                                    </button>
                                                )}
                                            </span>
                                        </>
                                    ),
                                };
                            }}
                        />
                    </>
                )}
            </Panel>
            {alert && <Detail a={alert} now={now} related={index >= 0 ? rows[index].members.filter((m) => m.id !== alert.id) : []} acts={acts} />}
            {asking.value?.what === 'acknowledge' && <AcknowledgeDialog alerts={asking.value.alerts} close={close_dialog} />}
            {asking.value?.what === 'silence' && <SilenceDialog alerts={asking.value.alerts} close={close_dialog} />}
            {asking.value?.what === 'silences' && <SilencesDialog close={() => close_dialog(false)} />}
        </div>
    );
}
