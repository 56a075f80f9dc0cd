import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosen_columns, COLUMNS, toggle_column } from '../src/lib/columns';

const keys = (text: string) => chosen_columns(text).map((c) => c.key);

test('without a choice the usual columns are there, and a choice stands in the order of the table', () => {
    assert.deepEqual(keys(''), ['t', 's', 'src', 'dst', 'rate', 'b', 'r', 'x', 'd']);
    assert.deepEqual(keys('cid,pkts,t'), ['t', 'src', 'dst', 'pkts', 'cid']);
    assert.deepEqual(keys('nonsense,__proto__,t'), ['t', 'src', 'dst']);
});

test('a click adds or takes one, back to the usual is no choice, and source and destination stay', () => {
    const more = toggle_column('', 'pkts');
    assert.ok(keys(more).includes('pkts') && keys(more).length === 10);
    assert.equal(toggle_column(more, 'pkts'), '');
    assert.ok(!keys(toggle_column('', 't')).includes('t'));
    assert.deepEqual(keys(toggle_column('src,dst', 'src')), ['src', 'dst']);
    assert.equal(new Set(COLUMNS.map((c) => c.key)).size, COLUMNS.length);
});
