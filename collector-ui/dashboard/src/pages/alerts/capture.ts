/* From an alert to a capture of its packets: who may, and of which alerts. */
import type { Alert } from '../../live/records';
import { go, hello } from '../../live/store';

/* Not of a sensor itself, which has no packets. */
const NO_PACKETS = ['SENSOR_LOSS', 'SENSOR_SILENT'];

export const can_capture = (a: Alert) => hello.value?.caps.capture === true && !NO_PACKETS.includes(a.kind);

/* The bar of captures, filled for it. */
export const capture_alert = (a: Alert) => go('packets', { cap: '1', alert: a.id });
