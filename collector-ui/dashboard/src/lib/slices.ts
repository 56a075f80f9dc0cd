/* A range of time in equal slices, which stay where they are while the range moves on: each begins at a multiple of the
 * width. The first and the last are as long as the range lets them be. Pure. */
import { step_for } from './time_ring';

export const SLICES_MAX = 24;

export interface Slice {
    start_ms: number; /* what it is called by */
    from_ms: number;
    to_ms: number;
}

export function slices(from_ms: number, to_ms: number): Slice[] {
    const width = step_for(to_ms - from_ms, SLICES_MAX - 1);
    const list: Slice[] = [];
    for (let start_ms = Math.floor(from_ms / width) * width; from_ms < to_ms && start_ms < to_ms && list.length < SLICES_MAX + 1; start_ms += width) {
        list.push({ start_ms, from_ms: Math.max(from_ms, start_ms), to_ms: Math.min(to_ms, start_ms + width) });
    }
    return list;
}
