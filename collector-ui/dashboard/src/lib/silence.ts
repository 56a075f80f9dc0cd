/* A connection that stands while nothing comes any more: the collector hangs, or the way to it has gone without a word. Pure. */

const SLACK_MS = 4_000; /* beside two frames: a query, a slow tick */

/* After so long without a message the reader is told; null: nothing is awaited. */
export const silent_after_ms = (rate_hz: number | null): number | null => (rate_hz === null ? null : 2000 / rate_hz + SLACK_MS);

export function is_silent(now_ms: number, last_message_ms: number, rate_hz: number | null): boolean {
    const after = silent_after_ms(rate_hz);
    return after !== null && now_ms - last_message_ms > after;
}
