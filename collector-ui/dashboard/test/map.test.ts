import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edge_filter, label_of, map_layout, node_filter, read_map, ROW, WIDTH_MAX } from '../src/lib/map.ts';

const ANSWER = {
    nodes: [
        { id: 'host:10.0.0.1', kind: 'host', name: '10.0.0.1', members: 1 },
        { id: 'host:10.0.0.2', kind: 'host', name: '10.0.0.2', members: 1 },
        { id: 'server_name:example.org', kind: 'server_name', name: 'example.org', members: 1 },
        { id: 'other:host', kind: 'host', name: 'other', other: true, members: 7 },
    ],
    edges: [
        { client: 'host:10.0.0.1', server: 'server_name:example.org', bytes_forward: '100', bytes_reverse: '9900', new_flows: '3', error_rate: 0.25, retransmit_ratio: 0.01, rtt: '0.012s' },
        { client: 'host:10.0.0.1', server: 'host:10.0.0.2', bytes_forward: '50', bytes_reverse: '50', new_flows: '1' },
        { client: 'other:host', server: 'other:host', bytes_forward: '1', bytes_reverse: '0', other: true, members: 9 },
        { client: 'host:10.9.9.9', server: 'other:host', bytes_forward: '1' },
    ],
    nodes_total: 10, edges_total: 11, matched: '20', coverage: { sensors_asked: 2, sensors_answered: 1 },
};

test('an answer is read, and an edge without ends is left out', () => {
    const map = read_map(ANSWER);
    assert.equal(map.edges.length, 3);
    assert.deepEqual([map.nodes_total, map.edges_total, map.matched, map.asked, map.answered, map.truncated], [10, 11, 20, 2, 1, '']);
    const [first, second] = map.edges;
    assert.deepEqual([first.forward, first.reverse, first.flows, first.error_rate, first.retransmit_ratio, first.rtt_ms], [100, 9900, 3, 0.25, 0.01, 12]);
    assert.deepEqual([second.error_rate, second.retransmit_ratio, second.rtt_ms], [null, null, null]); /* not measured is not 0 */
    assert.equal(read_map({ truncated: true, truncated_reason: 'why' }).truncated, 'why');
    for (const broken of [{}, { nodes: 3, edges: 'x' }, { nodes: [null, 7], edges: [null] }]) {
        assert.equal(read_map(broken as never).edges.length, 0);
    }
});

test('each side has a row a node, largest first and other at the bottom, and edges end at their nodes', () => {
    const map = read_map(ANSWER);
    const layout = map_layout(map);
    const left = layout.nodes.filter((n) => n.side === 0).sort((a, b) => a.y - b.y);
    const right = layout.nodes.filter((n) => n.side === 1).sort((a, b) => a.y - b.y);
    assert.deepEqual(left.map((n) => n.node.id), ['host:10.0.0.1', 'other:host']);
    assert.deepEqual(right.map((n) => n.node.id), ['server_name:example.org', 'host:10.0.0.2', 'other:host']);
    assert.equal(layout.height, 3 * ROW);
    for (const side of [left, right]) {
        side.forEach((n, i) => assert.ok(i === 0 || n.y - side[i - 1].y >= ROW));
        assert.ok(side.every((n) => n.y > 0 && n.y < layout.height));
    }
    for (const e of layout.edges) {
        assert.equal(e.y_from, left.find((n) => n.node === e.edge.client)!.y);
        assert.equal(e.y_to, right.find((n) => n.node === e.edge.server)!.y);
        assert.ok(e.width >= 0.8 && e.width <= WIDTH_MAX);
    }
    assert.equal(layout.edges[0].width, WIDTH_MAX);
    assert.deepEqual(map_layout(read_map({})), { nodes: [], edges: [], height: 0 });
});

test('networks are called by the label that they were asked for', () => {
    const answer = { nodes: [{ id: 'network:berlin', kind: 'network', name: 'berlin' }, { id: 'network:', kind: 'network', name: '' }], edges: [{ client: 'network:berlin', server: 'network:berlin' }, { client: 'network:', server: 'network:berlin' }] };
    const { edges } = read_map(answer, 'labels.site');
    assert.equal(edge_filter(edges[0], ''), 'client.labels.site = berlin AND server.labels.site = berlin');
    assert.equal(edge_filter(edges[1], ''), 'NOT client.labels.site : "*" AND server.labels.site = berlin');
    assert.deepEqual([label_of('labels.site'), label_of('host'), label_of('labels.'), label_of('labels.a b')], ['site', '', '', '']);
});

test('an edge is a filter of flows', () => {
    const { edges } = read_map(ANSWER);
    assert.equal(edge_filter(edges[0], ''), 'client.ip = "10.0.0.1" AND server.name = "example.org"');
    assert.equal(edge_filter(edges[1], 'app = tls'), 'app = tls AND client.ip = "10.0.0.1" AND server.ip = "10.0.0.2"');
    assert.equal(edge_filter(edges[1], 'app = tls OR app = dns'), '(app = tls OR app = dns) AND client.ip = "10.0.0.1" AND server.ip = "10.0.0.2"');
    assert.equal(edge_filter(edges[2], 'app = tls'), '');
    assert.equal(node_filter({ id: 'application:tls', kind: 'application', name: 'tls', other: false, members: 1 }, 1), 'app = tls');
    assert.equal(node_filter({ id: 'application:', kind: 'application', name: '', other: false, members: 1 }, 1), '');
});
