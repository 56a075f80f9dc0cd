import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockOffset } from '../src/lib/clock_offset';

/* A ping whose way there takes `up`, back `down`, with a server clock that is `skew` ahead. */
function ping(clock: ClockOffset, at: number, skew: number, up: number, down: number, inside = 0.2): void {
    const r = at + up + skew;
    clock.add(at, r, r + inside, at + up + inside + down);
}

for (const skew of [500, -500, 0, 3_600_000]) {
    test(`a server clock ${skew} ms ahead gives that offset and a true lag`, () => {
        const clock = new ClockOffset();
        for (let i = 0; i < 8; i++) {
            ping(clock, 1e12 + i * 2000, skew, 3, 3);
        }
        assert.ok(Math.abs(clock.offset_ms - skew) < 0.01);
        /* stamped by the server at true time T, seen 20 ms later */
        assert.ok(Math.abs(clock.lag_ms(1e12 + skew, 1e12 + 20) - 20) < 0.01);
    });
}

test('a delay in one direction misleads by at most the error that is told', () => {
    const clock = new ClockOffset();
    for (let i = 0; i < 8; i++) {
        ping(clock, 1e12 + i * 2000, 500, 40, 2);
    }
    assert.ok(Math.abs(clock.offset_ms - 500) <= clock.error_ms! + 0.01);
    assert.ok(clock.error_ms! > 15);
});

test('of the last eight pings the quickest is believed', () => {
    const clock = new ClockOffset();
    ping(clock, 1e12, 500, 90, 4);
    ping(clock, 1e12 + 2000, 500, 2, 2);
    ping(clock, 1e12 + 4000, 500, 5, 300);
    assert.ok(Math.abs(clock.offset_ms - 500) < 0.01);
    for (let i = 0; i < 8; i++) {
        ping(clock, 1e12 + 6000 + i * 2000, -200, 10, 10);
    }
    assert.ok(Math.abs(clock.offset_ms + 200) < 0.01, 'the quick one is too old by now');
});

test('the lag is never negative and a clock that was set back is left out', () => {
    const clock = new ClockOffset();
    ping(clock, 1e12, 0, 30, 0);
    assert.equal(clock.lag_ms(1e12 + 100, 1e12), 0);
    assert.equal(clock.add(100, 50, 60, 90), false);
    assert.equal(clock.add(NaN, 1, 2, 3), false);
    assert.equal(clock.count, 1);
    assert.equal(new ClockOffset().error_ms, null);
});
