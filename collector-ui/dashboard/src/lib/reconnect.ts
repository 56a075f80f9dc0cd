/* When to try again: 0.5 s doubling to 15 s, each with ±20 % so that a hundred open tabs do not come back at once. */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;
const JITTER = 0.2;

export function retry_delay_ms(attempt: number, random: () => number = Math.random): number {
    const base = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(16, Math.max(0, attempt - 1)));
    return base * (1 - JITTER + 2 * JITTER * random());
}

/* The schedule alone: no socket, no real timer, so a test can move the time. */
export class Reconnect {
    attempt = 0;
    retry_at_ms: number | null = null;
    private timer: unknown = null;

    constructor(
        private readonly connect: () => void,
        private readonly now: () => number,
        private readonly set: (f: () => void, ms: number) => unknown,
        private readonly clear: (timer: unknown) => void,
        private readonly random: () => number = Math.random,
    ) {}

    lost(hint_ms?: number): void {
        this.cancel();
        this.attempt++;
        const delay = Math.max(hint_ms ?? 0, retry_delay_ms(this.attempt, this.random));
        this.retry_at_ms = this.now() + delay;
        this.timer = this.set(() => this.go(), delay);
    }

    /* The network is back, the tab is shown again, or the reader pressed "Try now". */
    hurry(): void {
        if (this.timer !== null) {
            this.cancel();
            this.go();
        }
    }

    succeeded(): void {
        this.cancel();
        this.attempt = 0;
    }

    cancel(): void {
        if (this.timer !== null) {
            this.clear(this.timer);
        }
        this.timer = null;
        this.retry_at_ms = null;
    }

    private go(): void {
        this.timer = null;
        this.retry_at_ms = null;
        this.connect();
    }
}
