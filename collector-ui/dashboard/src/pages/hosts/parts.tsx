/* What the list and the page of one host share: values that lead on, figures that may be missing, notes about the answer. */
import type { ComponentChildren } from 'preact';
import { click_value, term } from '../../lib/filter';
import { digits, NONE, plural, safe } from '../../lib/format';
import { both, type About } from '../../lib/hosts';
import { alert_entity, alert_title, type Alert } from '../../live/records';
import { alerts, href, is_shown, param, patch, sensor_name } from '../../live/store';

/* Of these a figure is one to look at. */
export const ERRORS_MATTER = 0.05;
export const RETRANSMITS_MATTER = 0.02;
export const RTT_MATTERS_MS = 150;

const percent = (part: number) => `${digits(part * 100)}\u00a0%`;

export function Share({ of, matters }: { of: number | null; matters: number }) {
    return <span class={(of ?? 0) >= matters ? 'warm' : ''}>{of === null ? NONE : percent(of)}</span>;
}

/* A click shows the flows, with Alt they are left out on this page. */
export function Pivot(props: { field: string; value: string; within: string; title?: string; children: ComponentChildren }) {
    const filter = param('f');
    return (
        <a
            href={href('flows', { f: both(props.within, term(props.field, props.value)) })}
            title={props.title ?? 'its flows · alt-click leaves it out here'}
            onClick={(e) => {
                e.stopPropagation();
                if (e.altKey) {
                    e.preventDefault();
                    patch({ f: click_value(filter, props.field, props.value, 'exclude') });
                }
            }}
        >
            {props.children}
        </a>
    );
}

/* Why the figures are not whole; nothing when they are. */
export function Partial({ about, error }: { about: About; error: unknown }) {
    const said = [
        error !== null && 'It could not be read again: this is the answer before.',
        about.truncated !== '' && `Not all of it: ${safe(about.truncated)}.`,
        about.answered < about.asked && `${about.answered} of ${plural(about.asked, 'sensor')} are heard of now.`,
    ].filter(Boolean);
    return said.length === 0 ? null : (
        <p class="map-note" role="status">
            {said.join(' ')}
        </p>
    );
}

const is_about = (a: Alert, address: string) => [...a.attackers, ...a.victims].some((p) => p.ip === address);

/* Alerts of the time on screen that name the host, the worst of now first. */
export function alerts_about(address: string): Alert[] {
    return [...alerts.value.values()].filter((a) => is_about(a, address)).sort((a, b) => Number(b.open) - Number(a.open) || (b.last_ms ?? 0) - (a.last_ms ?? 0));
}

/* By address: how many are open, without those acknowledged or silenced. */
export function open_by_host(): Map<string, Alert[]> {
    const found = new Map<string, Alert[]>();
    for (const a of alerts.value.values()) {
        if (a.open && is_shown(a)) {
            for (const ip of new Set([...a.attackers, ...a.victims].map((p) => p.ip))) {
                found.set(ip, [...(found.get(ip) ?? []), a]);
            }
        }
    }
    return found;
}

export const alert_words = (a: Alert) => `${safe(alert_title(a))}: ${safe(alert_entity(a, sensor_name))}`;
