/* Alerts in the lane of a chart. */
import { safe } from '../lib/format';
import { marked } from '../lib/triage';
import { alert_title, SEVERITIES, type Alert } from '../live/records';
import { hidden_wanted, href, is_shown } from '../live/store';
import type { Marker } from './chart';

/* Those that the list of alerts would show on this page. */
export function alert_marks(list: Iterable<Alert>): Marker[] {
    const hidden: Record<string, string> = hidden_wanted() ? { hidden: '1' } : {};
    return marked(list, (a) => hidden_wanted() || is_shown(a), SEVERITIES).map((a) => ({ at_ms: a.first_ms!, severity: a.severity, label: safe(alert_title(a)).toLowerCase(), href: href('alerts', { sel: a.id, ...hidden }) }));
}
