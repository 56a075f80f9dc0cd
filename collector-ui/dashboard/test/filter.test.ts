import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chip, click_value, complete, conjuncts, index_of_byte, join, one_of, quote, search_to_filter, state_of_value, term, tokenize, unquote } from '../src/lib/filter';
import { parse_filter } from './fake_server.mjs';

test('tokens give back the text, whatever it is', () => {
    for (const text of ['', 'a = b', 'server.port >= 443 AND NOT (app = "t\\"ls" OR x : y)', '"open', '((', 'ä ≠ 😀', '= = =', '\t\n', 'a!b', '!']) {
        assert.equal(tokenize(text).map((t) => t.text).join(''), text);
    }
});

test('fields, values and words are told apart', () => {
    const kinds = tokenize('server.port = 443 AND client.ip = 10.0.0.1').filter((t) => t.kind !== 'space').map((t) => t.kind);
    assert.deepEqual(kinds, ['field', 'operator', 'number', 'keyword', 'field', 'operator', 'text']);
});

test('pieces and filter are one another', () => {
    for (const text of ['a = 1', 'a = 1 AND b = 2', '(a = 1 OR a = 2) AND NOT b = 3']) {
        assert.equal(join(conjuncts(text)), text);
    }
    assert.deepEqual(conjuncts('a = "x AND y" AND b = 1'), ['a = "x AND y"', 'b = 1']);
    assert.deepEqual(conjuncts('a = 1 OR b = 2'), ['a = 1 OR b = 2']);
    assert.equal(join(['a = 1 OR b = 2', 'c = 3']), '(a = 1 OR b = 2) AND c = 3');
    assert.deepEqual(conjuncts('  '), []);
});

test('a chip names field, value and whether it excludes', () => {
    assert.deepEqual({ ...chip('app = tls') }, { text: 'app = tls', field: 'app', operator: '=', value: 'tls', negated: false });
    assert.equal(chip('NOT sensor = "lab-7"').negated, true);
    assert.equal(chip('sensor != "lab-7"').negated, true);
    assert.equal(chip('a IN (x, "y z")').value, 'x, y z');
    assert.equal(chip('a IN (x,').field, '');
    assert.equal(chip('something odd').field, '');
});

test('any value survives quoting', () => {
    for (const value of ['tls', '443', 'a b', 'a"b\\c', '10.0.0.1', '2001:db8::1', 'AND', 'a\u202eb', '', '=x']) {
        assert.equal(unquote(quote(value)), value);
        const record = { app: { protocol: value }, server: {}, client: {} };
        assert.equal(parse_filter(term('app', value))(record), true);
    }
});

test('a click adds a term, a second click takes it away', () => {
    let f = click_value('', 'app', 'tls', 'include');
    assert.equal(f, 'app = tls');
    f = click_value(f, 'app', 'quic', 'include');
    assert.equal(f, 'app IN (tls, quic)');
    assert.equal(state_of_value(f, 'app', 'quic'), 'in');
    f = click_value(f, 'sensor', 'lab-7', 'exclude');
    assert.equal(f, 'app IN (tls, quic) AND sensor != "lab-7"');
    assert.equal(state_of_value(f, 'sensor', 'lab-7'), 'out');
    f = click_value(f, 'app', 'tls', 'include');
    assert.equal(f, 'app = quic AND sensor != "lab-7"');
    f = click_value(f, 'sensor', 'lab-7', 'exclude');
    assert.equal(f, 'app = quic');
    assert.equal(click_value(f, 'server.port', '53', 'only'), 'server.port = 53');
    assert.equal(click_value(f, 'app', 'quic', 'include'), '');
    assert.equal(click_value('app != tls', 'app', 'tls', 'include'), 'app = tls');
});

test('a term joined to an OR keeps its meaning', () => {
    const f = click_value('app = a OR app = b', 'server.port', '1', 'include');
    assert.equal(parse_filter(f)({ app: { protocol: 'a' }, server: { port: 2 } }), false);
    assert.equal(parse_filter(f)({ app: { protocol: 'b' }, server: { port: 1 } }), true);
});

test('one of several values', () => {
    assert.equal(one_of('sensor', []), '');
    assert.equal(one_of('sensor', ['a']), 'sensor = a');
    assert.equal(one_of('sensor', ['a', 'b"c']), 'sensor IN (a, "b\\"c")');
    assert.equal(one_of('sensor', Array.from({ length: 41 }, (_, i) => String(i))), '');
});

test('search makes a filter of what was typed', () => {
    const sensors = [{ id: 's-1', name: 'fra-1' }];
    assert.equal(search_to_filter('10.0.0.1', sensors), 'ip = "10.0.0.1"');
    assert.equal(search_to_filter('2001:db8::/32', sensors), 'ip = "2001:db8::/32"');
    assert.equal(search_to_filter('fra-1', sensors), 'sensor = "s-1"');
    assert.equal(search_to_filter('443', sensors), 'server.port = 443');
    assert.equal(search_to_filter('example.org', sensors), 'name : "example.org"');
    assert.equal(search_to_filter('server.port = 53', sensors), 'server.port = 53');
    assert.equal(search_to_filter('   ', sensors), '');
});

test('completion offers fields, values and words where they belong', () => {
    assert.ok(complete('serv', 4, {}).some((s) => s.text === 'server.port'));
    const values = { 'app': [{ value: 'tls', note: '' }, { value: 'dns', note: '' }] };
    assert.deepEqual(complete('app = t', 16, values).map((s) => s.text), ['tls']);
    assert.ok(complete('a = b ', 6, {}).some((s) => s.text === 'AND'));
});

test('a byte position of the server is a place in the text', () => {
    assert.equal(index_of_byte('äb', 2), 1);
    assert.equal(index_of_byte('😀x', 4), 2);
    assert.equal(index_of_byte('ab', 99), 2);
});
