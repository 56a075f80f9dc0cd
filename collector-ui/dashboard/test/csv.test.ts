import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csv_cell, csv_line } from '../src/lib/csv';

test('cells that begin like a formula cannot run', () => {
    for (const evil of ['=1+1', '+cmd', '-2+3', '@SUM(A1)', ' =1', '\t=1', '\r=1']) {
        assert.match(csv_cell(evil).replace(/^"/, ''), /^'/);
    }
    assert.equal(csv_cell('=HYPERLINK("http://x")'), '"\'=HYPERLINK(""http://x"")"');
});

test('numbers stay numbers, also below zero', () => {
    assert.equal(csv_cell(-12.5), '-12.5');
    assert.equal(csv_cell('-12.5'), "'-12.5");
    assert.equal(csv_cell(0), '0');
});

test('commas, quotes and line ends are quoted as RFC 4180 says', () => {
    assert.equal(csv_line(['a,b', 'c"d', 'e\nf', null, undefined, 'plain']), '"a,b","c""d","e\nf",,,plain\r\n');
});
