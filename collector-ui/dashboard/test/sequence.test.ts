import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sequence, type Sample } from '../src/lib/sequence';

let n = 0;
const sample = (at_ms: number, direction: '>' | '<', seq: number, len: number, flags = 'ACK'): Sample => ({ id: `p${n++}`, at_ms, direction, summary: `Ethernet a > b | IPv4 10.0.0.1 > 10.0.0.2 ttl=64 len=52 | TCP 4000 > 443 [${flags}] seq=${seq >>> 0} ack=7 win=64240 len=${len}` });

test('each side has its bytes over time, whatever the order of the samples', () => {
    const course = sequence([sample(30, '>', 1001, 500), sample(10, '>', 1000, 0, 'SYN'), sample(20, '<', 77, 0, 'SYN ACK'), sample(40, '<', 78, 2000)])!;
    assert.deepEqual(course.client.map((p) => [p.at_ms, p.end, p.again]), [[10, 1, false], [30, 501, false]]);
    assert.deepEqual(course.server.map((p) => p.end), [1, 2001]);
    assert.deepEqual([course.from_ms, course.to_ms, course.top], [10, 40, 2001]);
});

test('what was sent again is told, an empty acknowledgement is not, and numbers may go round', () => {
    const course = sequence([sample(1, '>', 2 ** 32 - 100, 100), sample(2, '>', 0, 100), sample(3, '>', 2 ** 32 - 100, 100), sample(4, '>', 100, 0), sample(5, '>', 100, 50)])!;
    assert.deepEqual(course.client.map((p) => p.end), [100, 200, 100, 200, 250]);
    assert.deepEqual(course.client.map((p) => p.again), [false, false, true, false, false]);
});

test('of what is no TCP, or of one moment, nothing is drawn', () => {
    const udp = (at: number): Sample => ({ id: 'u', at_ms: at, direction: '>', summary: 'IPv4 a > b | UDP 53 > 4000 len=99' });
    assert.equal(sequence([udp(1), udp(2), udp(3)]), null);
    assert.equal(sequence([sample(1, '>', 1, 5), sample(1, '>', 6, 5), sample(1, '<', 6, 5)]), null);
    assert.equal(sequence([]), null);
    assert.equal(sequence([{ id: 'x', at_ms: 1, direction: '>', summary: 'TCP 1 > 2 [ACK] seq=99999999999 len=1' }]), null);
});
