import assert from 'node:assert/strict';
import { test } from 'node:test';
import { middle_cut, app_name, bytes, digits, endpoint, enum_tail, ms, num, offset_text, parse_duration, short_moment, parse_time, percent_of_ppm, safe, si, span, whole, with_unit } from '../src/lib/format';

const G = '\u00a0';

test('numbers have three significant digits and SI prefixes', () => {
    assert.equal(si(1.42e9), `1.42${G}G`);
    assert.equal(si(999_600), `1.00${G}M`);
    assert.equal(si(999), '999');
    assert.equal(si(0), '0');
    assert.equal(si(0.123), '0.12');
    assert.equal(with_unit(17.2e9, 'bit/s'), `17.2${G}Gbit/s`);
    assert.equal(bytes(512), `512${G}B`);
    assert.equal(digits(99.96), '100');
    assert.equal(digits(9.996), '10.0');
});

test('thousands are apart and never break', () => {
    assert.equal(whole(48217), `48${G}217`);
    assert.equal(whole(1284392), `1${G}284${G}392`);
    assert.equal(whole(-1234), `-1${G}234`);
    assert.equal(whole(12), '12');
});

test('what was not measured is a dash, never 0', () => {
    for (const f of [si, whole, ms, span, bytes, percent_of_ppm]) {
        assert.equal(f(null), '–');
        assert.equal(f(undefined), '–');
        assert.equal(f(NaN), '–');
    }
});

test('loss in ppm is shown in percent without hiding a small loss', () => {
    assert.equal(percent_of_ppm(400), '0.04');
    assert.equal(percent_of_ppm(4100), '0.41');
    assert.equal(percent_of_ppm(1), '<0.001');
    assert.equal(percent_of_ppm(0), '0');
    assert.equal(percent_of_ppm(250_000), '25.0');
});

test('spans name two units', () => {
    assert.equal(span(1000), `1${G}s`);
    assert.equal(span(1371_000), `22${G}min 51${G}s`);
    assert.equal(span(3_600_000), `1${G}h`);
    assert.equal(span(90_000_000), `1${G}d 1${G}h`);
});

test('record times keep their nanoseconds down to the float', () => {
    assert.equal(parse_time('2026-11-23T05:00:00Z'), Date.UTC(2026, 10, 23, 5));
    assert.equal(parse_time('2026-11-23T05:00:00.5Z'), Date.UTC(2026, 10, 23, 5) + 500);
    assert.ok(Math.abs(parse_time('2026-11-23T05:00:00.000001000Z')! - Date.UTC(2026, 10, 23, 5) - 0.001) < 1e-3);
    assert.equal(parse_time(''), null);
    assert.equal(parse_time('yesterday'), null);
    assert.equal(parse_time(undefined), null);
    assert.equal(parse_duration('0.012s'), 12);
    assert.equal(parse_duration('12'), null);
});

test('numbers and decimal strings are read alike, other text is nothing', () => {
    assert.equal(num('18446744073709551615'), 18446744073709552000);
    assert.equal(num(3), 3);
    assert.equal(num('3e4'), null);
    assert.equal(num(''), null);
    assert.equal(num(Infinity), null);
});

test('control, bidi and invisible characters become visible', () => {
    assert.equal(safe('a\u202egpj.exe'), 'a⟨202E⟩gpj.exe');
    assert.equal(safe('x\u0000\u0007y'), 'x⟨00⟩⟨07⟩y');
    assert.equal(safe('a\u200bb\ufeff'), 'a⟨200B⟩b⟨FEFF⟩');
    assert.equal(safe('\u2066x\u2069'), '⟨2066⟩x⟨2069⟩');
    assert.equal(safe('line\nbreak'), 'line⟨0A⟩break');
    assert.equal(safe('\ud800'), '⟨D800⟩');
    assert.equal(safe('bücher.example 😀 <b>'), 'bücher.example 😀 <b>');
});

test('known names are spelled as people spell them, and inherited keys are no names', () => {
    assert.equal(app_name('tls'), 'TLS');
    assert.equal(app_name('constructor'), 'constructor');
    assert.equal(app_name('x\u202e'), 'x⟨202E⟩');
    assert.equal(enum_tail('TCP_STATE_ESTABLISHED'), 'ESTABLISHED');
    assert.equal(enum_tail('TCP_STATE_UNSPECIFIED'), '');
    assert.equal(enum_tail('ESTABLISHED'), 'ESTABLISHED');
    assert.equal(endpoint('2001:db8::1', 443), '[2001:db8::1]:443');
    assert.equal(endpoint('10.0.0.1', null), '10.0.0.1');
});

test('a long name is cut before its last labels, never inside a short one', () => {
    const end = (name: string) => name.slice(middle_cut(name));
    assert.equal(end('static.site-2327.example.com'), 'example.com');
    assert.equal(end('video.a-rather-long-organisation-name.org'), 'org');
    assert.equal(end('2001:db8:ffff:b::76b'), 'fff:b::76b');
    assert.equal(end('averyveryverylonglabelwithoutdots'), 'ithoutdots');
});

test('an offset has a sign, but for one that rounds to nothing', () => {
    assert.equal(offset_text(0.08), `+0.08${G}ms`);
    assert.equal(offset_text(-1.5), `−1.50${G}ms`);
    assert.equal(offset_text(-0.002), `0.00${G}ms`);
    assert.equal(offset_text(0), `0${G}ms`);
    assert.equal(offset_text(-3_600_000), `−3600${G}s`);
    assert.equal(offset_text(null), '–');
});

test('a time in a narrow column keeps its hour behind midnight', () => {
    const near = Date.UTC(2026, 11, 1, 0, 10);
    assert.equal(short_moment(near - 60_000, near), '00:09:00');
    assert.equal(short_moment(near - 3_600_000, near), '11-30 23:10');
    assert.equal(short_moment(Date.UTC(2025, 4, 6, 7, 8), near), '2025-05-06');
});
