import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format_range, format_route, parse_instant, parse_range, parse_route, type Route } from '../src/lib/route';

test('state survives the way through the address', () => {
    const routes: Route[] = [
        { page: 'overview', params: {} },
        { page: 'flows', params: { f: 'server.port = 443 AND NOT app.protocol = "a&b=c#d%"', t: 'now-1h..now', sel: 's-1~6f0c' } },
        { page: 'alerts', params: { sel: 'ä/?😀', sev: 'high' } },
        { page: 'packets', params: { at_b: '119+20' } },
    ];
    for (const route of routes) {
        assert.deepEqual(parse_route(format_route(route)), route);
    }
});

test('an address that nobody wrote by hand still opens a page', () => {
    assert.deepEqual(parse_route(''), { page: 'overview', params: {} });
    assert.deepEqual(parse_route('#/nowhere?x=1'), { page: 'overview', params: { x: '1' } });
    assert.deepEqual(parse_route('#/flows?f=%E0%A4%A&t=now-5m..now'), { page: 'flows', params: { t: 'now-5m..now' } });
    assert.deepEqual(parse_route('#/flows?&&a'), { page: 'flows', params: { a: '' } });
});

test('ranges survive too, and wrong ones are nothing', () => {
    for (const text of ['now-5m..now', 'now-1h..now', 'now-7d..now', '2026-11-23T13:34:00Z..2026-11-23T14:03:00Z', '2026-11-23T13:34:00.250Z..2026-11-23T14:03:00Z']) {
        assert.equal(format_range(parse_range(text)!), text);
    }
    for (const text of ['', 'now', 'now-0m..now', 'now-1x..now', '5..4', 'b..a', '2026-11-23T14:00:00Z..2026-11-23T13:00:00Z', 'now-999999d..now']) {
        assert.equal(parse_range(text), null);
    }
    assert.equal(parse_instant('2026-11-23 13:04'), Date.UTC(2026, 10, 23, 13, 4));
    assert.equal(parse_instant('1789000000000'), 1789000000000);
    assert.equal(parse_instant('soon'), null);
});
