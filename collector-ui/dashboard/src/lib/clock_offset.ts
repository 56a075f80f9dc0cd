/* How far the collector's clock is from this one. Of the last eight pings the one with the smallest round trip is
 * believed: a delay in one direction only can then mislead by half that round trip at most, which is the error told. */

export interface ClockSample {
    offset_ms: number; /* server minus client */
    round_trip_ms: number;
}

const KEPT = 8;

export class ClockOffset {
    private samples: ClockSample[] = [];

    /* c, d: sent and received by this clock; r, s: received and sent by the server's. */
    add(c: number, r: number, s: number, d: number): boolean {
        const round_trip_ms = d - c - (s - r);
        if (![c, r, s, d].every(Number.isFinite) || round_trip_ms < 0 || d < c) {
            return false; /* a clock was set between sending and receiving */
        }
        this.samples.push({ offset_ms: (r - c + (s - d)) / 2, round_trip_ms });
        if (this.samples.length > KEPT) {
            this.samples.shift();
        }
        return true;
    }

    get count(): number {
        return this.samples.length;
    }

    best(): ClockSample | null {
        let best: ClockSample | null = null;
        for (const s of this.samples) {
            if (best === null || s.round_trip_ms <= best.round_trip_ms) {
                best = s;
            }
        }
        return best;
    }

    get offset_ms(): number {
        return this.best()?.offset_ms ?? 0;
    }

    get error_ms(): number | null {
        const best = this.best();
        return best === null ? null : best.round_trip_ms / 2;
    }

    /* Age of a server stamp when it was seen here. An error of the estimate never makes it negative. */
    lag_ms(stamp_ms: number, seen_ms: number): number {
        return Math.max(0, seen_ms - (stamp_ms - this.offset_ms));
    }

    reset(): void {
        this.samples = [];
    }
}
