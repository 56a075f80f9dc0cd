/* What is usual: the same time of day on the days before. Pure. */
export interface Reference {
    start_ms: number;
    step_ms: number;
    values: (number | null)[];
}

export interface Usual {
    low: number;
    middle: number;
    high: number;
    days: number; /* that have a value */
}

export const DAYS = 7;
export const DAY_MS = 86_400_000;
const DAYS_LEAST = 3;

/* Between two values of a sorted list. */
function quantile(sorted: number[], part: number): number {
    const at = (sorted.length - 1) * part;
    const i = Math.floor(at);
    const next = sorted[Math.min(sorted.length - 1, i + 1)];
    return sorted[i] + (next - sorted[i]) * (at - i);
}

/* null: fewer than three days before have a value there. */
export function usual_at(at_ms: number, reference: Reference): Usual | null {
    const found: number[] = [];
    for (let d = 1; d <= DAYS; d++) {
        const value = reference.values[Math.floor((at_ms - d * DAY_MS - reference.start_ms) / reference.step_ms)];
        if (value !== null && value !== undefined) {
            found.push(value);
        }
    }
    if (found.length < DAYS_LEAST) {
        return null;
    }
    found.sort((a, b) => a - b);
    return { low: quantile(found, 0.1), middle: quantile(found, 0.5), high: quantile(found, 0.9), days: found.length };
}

export interface Deviation {
    percent: number; /* of the middle */
    outside: boolean; /* of the usual range, and by more than noise */
    matters: boolean; /* so far that somebody should look */
}

const NOISE_PERCENT = 10;
const FAR = 1.5;

export function deviation(value: number, usual: Usual): Deviation | null {
    if (!(usual.middle > 0)) {
        return null;
    }
    const percent = (100 * (value - usual.middle)) / usual.middle;
    const outside = (value > usual.high || value < usual.low) && Math.abs(percent) >= NOISE_PERCENT;
    return { percent, outside, matters: outside && (value > usual.high * FAR || value < usual.low / FAR) };
}

/* "+18 %", "3.2×" */
export function deviation_text(percent: number): string {
    return percent >= 200 ? `${(1 + percent / 100).toFixed(1)}×` : `${percent > 0 ? '+' : '−'}${Math.round(Math.abs(percent))}\u00a0%`;
}

/* The mean of the values in the last part of a series, null where none is known. */
export function mean_of_last(values: (number | null)[], count: number): number | null {
    const known = values.slice(-Math.max(1, count)).filter((v): v is number => v !== null);
    return known.length === 0 ? null : known.reduce((a, v) => a + v, 0) / known.length;
}
