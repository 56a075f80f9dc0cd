/* Layout of the "who talks to whom" chart: three columns of nodes, ribbons between neighbours, and names that do not
 * touch: they are pushed apart, and where the column is too short the smallest lose theirs. Pure. */

export interface Talker {
    sensor: string;
    app: string;
    host: string;
    bytes: number;
}

export interface RibbonNode {
    column: 0 | 1 | 2;
    key: string;
    bytes: number;
    y: number;
    height: number;
    label_y: number | null; /* middle of its name; null: no room */
}

export interface RibbonLink {
    from: RibbonNode;
    to: RibbonNode;
    app: string;
    bytes: number;
    y_from: number;
    y_to: number;
    height: number;
}

export interface RibbonLayout {
    nodes: RibbonNode[];
    links: RibbonLink[];
    total: number;
}

const OTHER = ''; /* key of the node that holds what is not shown by itself */
const PAD = 9;
const NODE_MIN = 2;
export const LABEL_GAP = 14;

function largest(rows: Talker[], key: (t: Talker) => string, count: number): Set<string> {
    const sums = new Map<string, number>();
    for (const row of rows) {
        if (key(row) !== OTHER) {
            sums.set(key(row), (sums.get(key(row)) ?? 0) + row.bytes);
        }
    }
    const sorted = [...sums.entries()].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const cut = sorted.length <= count + 1 ? sorted : sorted.slice(0, count); /* "other" for one alone helps nobody */
    return new Set(cut.map(([name]) => name));
}

export function ribbon_layout(rows: Talker[], height: number, limits = { sensors: 6, apps: 7, hosts: 7 }): RibbonLayout {
    const useful = rows.filter((r) => Number.isFinite(r.bytes) && r.bytes > 0);
    const total = useful.reduce((sum, r) => sum + r.bytes, 0);
    if (total === 0 || height < 40) {
        return { nodes: [], links: [], total: 0 };
    }
    const sensors = largest(useful, (r) => r.sensor, limits.sensors);
    const apps = largest(useful, (r) => r.app, limits.apps);
    const hosts = largest(useful, (r) => r.host, limits.hosts);
    const pick = (set: Set<string>, name: string) => (set.has(name) ? name : OTHER);

    const nodes = new Map<string, RibbonNode>();
    const node = (column: 0 | 1 | 2, key: string) => {
        const id = `${column} ${key}`;
        let found = nodes.get(id);
        if (!found) {
            found = { column, key, bytes: 0, y: 0, height: 0, label_y: null };
            nodes.set(id, found);
        }
        return found;
    };
    const links = new Map<string, RibbonLink>();
    const link = (from: RibbonNode, to: RibbonNode, app: string, bytes: number) => {
        const id = `${from.column} ${from.key} > ${to.key} > ${app}`;
        const found = links.get(id);
        if (found) {
            found.bytes += bytes;
        } else {
            links.set(id, { from, to, app, bytes, y_from: 0, y_to: 0, height: 0 });
        }
    };
    for (const row of useful) {
        const s = node(0, pick(sensors, row.sensor));
        const a = node(1, pick(apps, row.app));
        const h = node(2, pick(hosts, row.host));
        for (const n of [s, a, h]) {
            n.bytes += row.bytes;
        }
        link(s, a, a.key, row.bytes);
        link(a, h, a.key, row.bytes);
    }

    const columns: RibbonNode[][] = [0, 1, 2].map((c) =>
        [...nodes.values()]
            .filter((n) => n.column === c)
            .sort((a, b) => Number(a.key === OTHER) - Number(b.key === OTHER) || b.bytes - a.bytes || (a.key < b.key ? -1 : 1)),
    );
    const most = Math.max(...columns.map((c) => c.length));
    const pad = Math.min(PAD, (height * 0.4) / most);
    const scale = Math.min(...columns.map((c) => (height - pad * (c.length - 1) - NODE_MIN * c.length) / total));
    for (const column of columns) {
        const used = column.reduce((sum, n) => sum + Math.max(NODE_MIN, n.bytes * scale), 0) + pad * (column.length - 1);
        let y = Math.max(0, (height - used) / 2);
        for (const n of column) {
            n.y = y;
            n.height = Math.max(NODE_MIN, n.bytes * scale);
            y += n.height + pad;
        }
        place_labels(column, height);
    }
    const order = [...links.values()];
    const rank = new Map([...nodes.values()].map((n) => [n, columns[n.column].indexOf(n)]));
    const used_from = new Map<RibbonNode, number>();
    const used_to = new Map<RibbonNode, number>();
    order.sort((a, b) => rank.get(a.from)! - rank.get(b.from)! || rank.get(a.to)! - rank.get(b.to)!);
    for (const l of order) {
        l.height = l.bytes * scale;
        l.y_from = l.from.y + (used_from.get(l.from) ?? 0);
        used_from.set(l.from, (used_from.get(l.from) ?? 0) + l.height);
    }
    for (const l of [...order].sort((a, b) => rank.get(a.to)! - rank.get(b.to)! || rank.get(a.from)! - rank.get(b.from)!)) {
        l.y_to = l.to.y + (used_to.get(l.to) ?? 0);
        used_to.set(l.to, (used_to.get(l.to) ?? 0) + l.height);
    }
    return { nodes: [...nodes.values()], links: order, total };
}

/* Middles at least LABEL_GAP apart, in order, inside the column. */
export function place_labels(column: RibbonNode[], height: number): void {
    const room = Math.max(1, Math.floor(height / LABEL_GAP));
    const named = [...column].sort((a, b) => b.bytes - a.bytes).slice(0, room);
    const shown = column.filter((n) => named.includes(n));
    let y = LABEL_GAP / 2;
    for (const n of shown) {
        n.label_y = Math.max(y, n.y + n.height / 2);
        y = n.label_y + LABEL_GAP;
    }
    let below = height - LABEL_GAP / 2;
    for (let i = shown.length - 1; i >= 0; i--) {
        shown[i].label_y = Math.min(below, shown[i].label_y!);
        below = shown[i].label_y! - LABEL_GAP;
    }
}
