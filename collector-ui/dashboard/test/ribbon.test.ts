import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ribbon_layout, type Talker } from '../src/lib/ribbon';

const rows: Talker[] = [];
for (let s = 0; s < 14; s++) {
    for (let a = 0; a < 9; a++) {
        for (let h = 0; h < 5; h++) {
            rows.push({ sensor: `s${s}`, app: `a${a}`, host: `h${a}${h}`, bytes: 1 + ((s * 7919 + a * 104729 + h * 1299709) % 1000) ** 2 });
        }
    }
}

test('bytes are kept through all three columns', () => {
    const layout = ribbon_layout(rows, 280);
    const total = rows.reduce((n, r) => n + r.bytes, 0);
    for (const column of [0, 1, 2]) {
        assert.equal(layout.nodes.filter((n) => n.column === column).reduce((n, x) => n + x.bytes, 0), total);
    }
    for (const side of [0, 1]) {
        assert.equal(layout.links.filter((l) => l.from.column === side).reduce((n, l) => n + l.bytes, 0), total);
    }
});

for (const height of [60, 140, 280, 700]) {
    test(`at ${height} px nodes stay inside and names do not touch`, () => {
        const layout = ribbon_layout(rows, height);
        for (const column of [0, 1, 2]) {
            const nodes = layout.nodes.filter((n) => n.column === column).sort((a, b) => a.y - b.y);
            nodes.forEach((n, i) => {
                assert.ok(n.y >= -0.01 && n.y + n.height <= height + 0.01);
                if (i > 0) {
                    assert.ok(n.y >= nodes[i - 1].y + nodes[i - 1].height - 0.01);
                }
            });
            const names = nodes.filter((n) => n.label_y !== null).map((n) => n.label_y!);
            names.forEach((y, i) => {
                assert.ok(y >= 6.9 && y <= height - 6.9, `${y}`);
                assert.ok(i === 0 || y - names[i - 1] >= 13.99);
            });
        }
        for (const l of layout.links) {
            assert.ok(l.y_from >= l.from.y - 0.01 && l.y_from + l.height <= l.from.y + l.from.height + 0.01);
            assert.ok(l.y_to >= l.to.y - 0.01 && l.y_to + l.height <= l.to.y + l.to.height + 0.01);
        }
    });
}

test('nothing, nonsense and one alone are no error', () => {
    assert.deepEqual(ribbon_layout([], 200).nodes, []);
    assert.deepEqual(ribbon_layout([{ sensor: 'a', app: 'b', host: 'c', bytes: NaN }, { sensor: 'a', app: 'b', host: 'c', bytes: -4 }], 200).nodes, []);
    const one = ribbon_layout([{ sensor: 'a', app: 'b', host: '', bytes: 10 }], 200);
    assert.equal(one.nodes.length, 3);
    assert.equal(one.links.length, 2);
});

test('a key that would collide with another is not merged', () => {
    const layout = ribbon_layout([{ sensor: 'x', app: 'x', host: 'x', bytes: 1 }, { sensor: '__proto__', app: 'constructor', host: 'x', bytes: 2 }], 200);
    assert.equal(layout.nodes.length, 5);
});
