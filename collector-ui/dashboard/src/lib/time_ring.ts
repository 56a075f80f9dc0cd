/* Columns of a time series in equal steps, the newest at the end, as many as the chart shows. What was not
 * measured is NaN inside and null outside: a gap, never 0. History fills it first, live frames go on from there. */

export class TimeRing {
    readonly step_ms: number;
    readonly capacity: number;
    readonly keys: string[];
    private readonly columns: Float64Array[];
    private head = 0; /* slot of the oldest step */
    private length = 0;
    private first_ms = 0; /* start of the oldest step */
    private weight = 0; /* ms of live data already in the newest step */
    private live_until_ms = -Infinity;

    constructor(keys: string[], step_ms: number, capacity: number) {
        if (!(step_ms > 0) || !(capacity > 0)) {
            throw new RangeError('a ring needs a step and a capacity above 0');
        }
        this.keys = keys;
        this.step_ms = step_ms;
        this.capacity = Math.ceil(capacity);
        this.columns = keys.map(() => new Float64Array(this.capacity).fill(NaN));
    }

    get size(): number {
        return this.length;
    }

    get start_ms(): number {
        return this.first_ms;
    }

    /* End of the newest step, or of what is known of it. */
    get known_until_ms(): number {
        return this.live_until_ms;
    }

    /* `t[i]` starts step i; times must rise by whole steps. `known_until_ms` is where live frames may go on. */
    fill(t: number[], columns: (number | null)[][], known_until_ms: number): void {
        this.head = 0;
        this.length = 0;
        for (let i = 0; i < t.length; i++) {
            this.move_to(t[i]);
            const slot = this.slot(this.length - 1);
            for (let k = 0; k < this.keys.length; k++) {
                const value = columns[k]?.[i];
                this.columns[k][slot] = value === null || value === undefined || !Number.isFinite(value) ? NaN : value;
            }
        }
        const last = t.length ? t[t.length - 1] : 0;
        this.weight = Math.min(this.step_ms, Math.max(0, known_until_ms - last));
        this.live_until_ms = known_until_ms;
    }

    /* A mean over (ts_ms - win_ms, ts_ms]. False: it lies within what is already known. A window that spans steps goes
     * to the step that holds its middle; within a step windows are weighted by their length. */
    append(ts_ms: number, win_ms: number, values: (number | null)[]): boolean {
        if (ts_ms <= this.live_until_ms || !Number.isFinite(ts_ms) || !(win_ms > 0)) {
            return false;
        }
        const middle = ts_ms - win_ms / 2;
        const step_start = Math.floor(middle / this.step_ms) * this.step_ms;
        const newest = this.first_ms + (this.length - 1) * this.step_ms;
        if (this.length > 0 && step_start < newest) {
            return false;
        }
        if (this.length === 0 || step_start > newest) {
            this.move_to(step_start);
            this.weight = 0;
        }
        const slot = this.slot(this.length - 1);
        for (let k = 0; k < this.keys.length; k++) {
            const value = values[k];
            if (value === null || value === undefined || !Number.isFinite(value)) {
                continue;
            }
            const before = this.columns[k][slot];
            this.columns[k][slot] =
                Number.isNaN(before) || this.weight === 0 ? value : (before * this.weight + value * win_ms) / (this.weight + win_ms);
        }
        this.weight += win_ms;
        this.live_until_ms = ts_ms;
        return true;
    }

    times_s(): number[] {
        const t = new Array<number>(this.length);
        for (let i = 0; i < this.length; i++) {
            t[i] = (this.first_ms + i * this.step_ms) / 1000;
        }
        return t;
    }

    column(key: number): (number | null)[] {
        const source = this.columns[key];
        const out = new Array<number | null>(this.length);
        for (let i = 0; i < this.length; i++) {
            const value = source[this.slot(i)];
            out[i] = Number.isNaN(value) ? null : value;
        }
        return out;
    }

    at(key: number, index: number): number | null {
        const value = this.columns[key]?.[this.slot(index)];
        return value === undefined || Number.isNaN(value) ? null : value;
    }

    /* The newest value that was measured. */
    last(key: number): number | null {
        for (let i = this.length - 1; i >= 0; i--) {
            const value = this.columns[key][this.slot(i)];
            if (!Number.isNaN(value)) {
                return value;
            }
        }
        return null;
    }

    private slot(index: number): number {
        return (this.head + index) % this.capacity;
    }

    /* Makes `step_start` the newest step; steps skipped over stay gaps. */
    private move_to(step_start: number): void {
        if (this.length === 0) {
            this.first_ms = step_start;
            this.push_gap();
            return;
        }
        let newest = this.first_ms + (this.length - 1) * this.step_ms;
        const skip = Math.round((step_start - newest) / this.step_ms);
        if (skip >= this.capacity) {
            this.head = 0;
            this.length = 0;
            this.first_ms = step_start - (this.capacity - 1) * this.step_ms;
            newest = this.first_ms - this.step_ms;
        }
        while (newest < step_start) {
            this.push_gap();
            newest += this.step_ms;
        }
    }

    private push_gap(): void {
        if (this.length === this.capacity) {
            this.head = (this.head + 1) % this.capacity;
            this.first_ms += this.step_ms;
        } else {
            this.length++;
        }
        const slot = this.slot(this.length - 1);
        for (const column of this.columns) {
            column[slot] = NaN;
        }
    }
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

/* The step that gives at most `points_max` points. */
export function step_for(span_ms: number, points_max: number): number {
    for (const s of STEPS_S) {
        if (span_ms / (s * 1000) <= points_max) {
            return s * 1000;
        }
    }
    return Math.ceil(span_ms / points_max / 86_400_000) * 86_400_000;
}
