/* The service map as the collector sends it (GetServiceMap), and where its nodes and edges are drawn: clients on the left,
 * what they call on the right, a row each. Pure. */
import { num, parse_duration } from './format';
import { term } from './filter';

export type MapKind = 'host' | 'application' | 'server_name' | 'network';

export interface MapNode {
    id: string;
    kind: MapKind;
    name: string;
    label: string; /* of a network: the key whose value is its name */
    other: boolean;
    members: number;
}

export interface MapEdge {
    client: MapNode;
    server: MapNode;
    forward: number;
    reverse: number;
    flows: number;
    error_rate: number | null;
    retransmit_ratio: number | null;
    rtt_ms: number | null;
    other: boolean;
    members: number;
}

export interface ServiceMap {
    nodes: MapNode[];
    edges: MapEdge[];
    nodes_total: number;
    edges_total: number;
    matched: number | null;
    asked: number;
    answered: number;
    truncated: string; /* why the sums are too low; '' when they are not */
}

type Bag = Record<string, unknown>;
const list = (value: unknown): Bag[] => (Array.isArray(value) ? (value as Bag[]).filter((v) => typeof v === 'object' && v !== null) : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const KINDS: MapKind[] = ['host', 'application', 'server_name', 'network'];

/* What the sides are called by: "labels.site" is the key of a label. */
export const label_of = (group_by: string): string => /^labels\.([a-z][a-z0-9_]{0,31})$/.exec(group_by)?.[1] ?? '';

/* An edge whose ends are not among the nodes is left out. */
export function read_map(b: Bag, group_by = ''): ServiceMap {
    const nodes = list(b.nodes).map((n) => ({
        id: text(n.id),
        kind: KINDS.find((k) => k === n.kind) ?? 'host',
        name: text(n.name),
        label: n.kind === 'network' ? label_of(group_by) : '',
        other: n.other === true,
        members: num(n.members) ?? 1,
    }));
    const by_id = new Map(nodes.map((n) => [n.id, n]));
    const edges: MapEdge[] = [];
    for (const e of list(b.edges)) {
        const client = by_id.get(text(e.client));
        const server = by_id.get(text(e.server));
        if (client && server) {
            edges.push({
                client, server, forward: num(e.bytes_forward) ?? 0, reverse: num(e.bytes_reverse) ?? 0, flows: num(e.new_flows) ?? 0,
                error_rate: num(e.error_rate), retransmit_ratio: num(e.retransmit_ratio), rtt_ms: parse_duration(e.rtt), other: e.other === true, members: num(e.members) ?? 1,
            });
        }
    }
    const coverage = (typeof b.coverage === 'object' && b.coverage !== null ? b.coverage : {}) as Bag;
    return {
        nodes, edges, nodes_total: num(b.nodes_total) ?? nodes.length, edges_total: num(b.edges_total) ?? edges.length, matched: num(b.matched),
        asked: num(coverage.sensors_asked) ?? 0, answered: num(coverage.sensors_answered) ?? 0, truncated: b.truncated === true ? text(b.truncated_reason) || 'a bound was met' : '',
    };
}

export const edge_bytes = (e: MapEdge) => e.forward + e.reverse;
export const edge_key = (e: MapEdge) => `${e.client.id} ${e.server.id}`;

export const ROW = 19;
export const WIDTH_MAX = 11;

export interface PlacedNode {
    node: MapNode;
    side: 0 | 1;
    bytes: number;
    y: number; /* its middle */
}

export interface PlacedEdge {
    edge: MapEdge;
    y_from: number;
    y_to: number;
    width: number;
}

export interface MapLayout {
    nodes: PlacedNode[];
    edges: PlacedEdge[];
    height: number;
}

/* Each side by its bytes, the rest at the bottom; the shorter side stands in the middle of the longer one. An edge is as
 * wide as the root of its share: the small ones are to be seen, too. */
export function map_layout(map: ServiceMap): MapLayout {
    const sides: Map<string, PlacedNode>[] = [new Map(), new Map()];
    for (const edge of map.edges) {
        [edge.client, edge.server].forEach((node, side) => {
            const placed = sides[side].get(node.id) ?? { node, side: side as 0 | 1, bytes: 0, y: 0 };
            placed.bytes += edge_bytes(edge);
            sides[side].set(node.id, placed);
        });
    }
    const rows = Math.max(sides[0].size, sides[1].size);
    for (const side of sides) {
        const sorted = [...side.values()].sort((a, b) => Number(a.node.other) - Number(b.node.other) || b.bytes - a.bytes || (a.node.id < b.node.id ? -1 : 1));
        const top = ((rows - sorted.length) * ROW) / 2;
        sorted.forEach((n, i) => (n.y = top + (i + 0.5) * ROW));
    }
    const most = Math.max(1, ...map.edges.map(edge_bytes));
    const edges = map.edges.map((edge) => ({
        edge,
        y_from: sides[0].get(edge.client.id)!.y,
        y_to: sides[1].get(edge.server.id)!.y,
        width: Math.max(0.8, WIDTH_MAX * Math.sqrt(edge_bytes(edge) / most)),
    }));
    return { nodes: [...sides[0].values(), ...sides[1].values()], edges, height: rows * ROW };
}

/* What chooses the flows of a node on one side; '' where nothing does. */
export function node_filter(node: MapNode, side: 0 | 1): string {
    if (node.kind === 'network' && !node.other) {
        const field = `${side === 0 ? 'client' : 'server'}.labels.${node.label}`;
        return node.name === '' ? `NOT ${field} : "*"` : term(field, node.name);
    }
    if (node.other || node.name === '') {
        return '';
    }
    if (node.kind === 'application') {
        return term('app', node.name);
    }
    return node.kind === 'server_name' ? term('server.name', node.name) : term(side === 0 ? 'client.ip' : 'server.ip', node.name);
}

/* `term` within the filter that is set already. */
export function within(filter: string, term: string): string {
    return filter === '' ? term : `${/\bOR\b/i.test(filter) ? `(${filter})` : filter} AND ${term}`;
}

/* '' where both ends are other. */
export function edge_filter(edge: MapEdge, filter: string): string {
    const own = [node_filter(edge.client, 0), node_filter(edge.server, 1)].filter(Boolean).join(' AND ');
    return own === '' ? '' : within(filter, own);
}
