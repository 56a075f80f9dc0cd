import assert from 'node:assert/strict';
import { test } from 'node:test';
import { situation } from '../src/lib/situation';
import { DAY_MS, deviation, deviation_text, mean_of_last, usual_at, type Reference } from '../src/lib/usual';

const HOUR = 3_600_000;
const NOW = 100 * DAY_MS + 14 * HOUR;

/* Seven days by the hour: at 14 h as `of` says by days before, else 1. */
function week(of: (number | null)[]): Reference {
    const start_ms = NOW - 7 * DAY_MS - 2 * HOUR;
    const values = Array.from({ length: 7 * 24 }, (_, i) => {
        const at = start_ms + i * HOUR;
        return at % DAY_MS === 14 * HOUR ? of[(NOW - at) / DAY_MS - 1] : 1;
    });
    return { start_ms, step_ms: HOUR, values };
}

test('usual is the same time of day on the days before, with its middle and most of its range', () => {
    const usual = usual_at(NOW + 60_000, week([100, 110, 90, 105, 95, 1000, 100]))!;
    assert.equal(usual.middle, 100);
    assert.equal(usual.days, 7);
    assert.ok(usual.low > 90 && usual.low < 95 && usual.high > 110 && usual.high < 1000, JSON.stringify(usual));
    assert.equal(usual_at(NOW + HOUR, week([100, 110, 90, 105, 95, 1000, 100]))!.middle, 1);
});

test('fewer than three days before say nothing of what is usual, and a gap is no 0', () => {
    assert.equal(usual_at(NOW, week([100, 110, null, null, null, null, null])), null);
    assert.equal(usual_at(NOW, week([100, null, 90, null, 95, null, null]))!.low >= 90, true);
    assert.equal(usual_at(NOW, { start_ms: 0, step_ms: HOUR, values: [] }), null);
});

test('what lies in the range is no deviation, what lies far outside matters', () => {
    const usual = { low: 90, middle: 100, high: 110, days: 7 };
    assert.deepEqual(deviation(108, usual), { percent: 8, outside: false, matters: false });
    assert.deepEqual(deviation(118, usual), { percent: 18, outside: true, matters: false });
    assert.deepEqual(deviation(400, usual), { percent: 300, outside: true, matters: true });
    assert.deepEqual(deviation(20, usual), { percent: -80, outside: true, matters: true });
    assert.equal(deviation(3, { low: 0, middle: 0, high: 0, days: 5 }), null);
    assert.equal(deviation_text(18.4), '+18\u00a0%');
    assert.equal(deviation_text(-80), '−80\u00a0%');
    assert.equal(deviation_text(300), '4.0×');
});

test('the mean of the last steps leaves out those that are not known', () => {
    assert.equal(mean_of_last([9, 1, 3, null], 3), 2);
    assert.equal(mean_of_last([1, null, null], 2), null);
    assert.equal(mean_of_last([], 2), null);
});

test('the sentence tells of traffic that is not usual, with its reference', () => {
    const say = (percent: number) => situation([], [], true, undefined, 0, { percent, at: '14:00' }).phrases.map((p) => p.text).join('');
    assert.match(say(18), /Traffic is 18\u00a0% above the usual at 14:00\./);
    assert.match(say(-40), /Traffic is 40\u00a0% below the usual at 14:00\./);
    assert.match(say(300), /Traffic is 4\.0 times what is usual at 14:00\./);
    assert.doesNotMatch(situation([], [], true).phrases.map((p) => p.text).join(''), /usual/);
});
