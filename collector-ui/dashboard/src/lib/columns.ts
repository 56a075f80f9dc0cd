/* Columns of the list of flows. In the address: c = their keys with commas; without it the usual ones. Pure. */
export interface ColumnName {
    key: string;
    title: string;
    head?: string; /* above the column, where a unit says more */
    order: string; /* by which the collector sorts; '': it does not */
    width: string; /* of a grid */
    usual: boolean;
    fixed?: boolean; /* always there: without it a row says nothing */
}

export const COLUMNS: ColumnName[] = [
    { key: 't', title: 'Last seen', order: 'end_time', width: '78px', usual: true },
    { key: 'start', title: 'First seen', order: 'start_time', width: '78px', usual: false },
    { key: 'dur', title: 'Duration', order: 'duration', width: '84px', usual: false },
    { key: 's', title: 'Sensor', order: '', width: '62px', usual: true },
    { key: 'src', title: 'Source', order: '', width: 'minmax(0, 1fr)', usual: true, fixed: true },
    { key: 'dst', title: 'Destination', order: '', width: 'minmax(0, 1.35fr)', usual: true, fixed: true },
    { key: 'app', title: 'Application', order: '', width: '84px', usual: false },
    { key: 'rate', title: 'Rate', head: 'bit/s', order: 'rate', width: '68px', usual: true },
    { key: 'b', title: 'Bytes', order: 'bytes', width: '104px', usual: true },
    { key: 'pkts', title: 'Packets', order: 'packets', width: '76px', usual: false },
    { key: 'r', title: 'RTT', order: 'rtt', width: '52px', usual: true },
    { key: 'x', title: 'Retr.', order: 'retransmits', width: '48px', usual: true },
    { key: 'd', title: 'State', order: '', width: '70px', usual: true },
    { key: 'cid', title: 'Community ID', order: '', width: 'minmax(0, .9fr)', usual: false },
];

/* In the order of the table; what no column is called is left out. */
export function chosen_columns(text: string): ColumnName[] {
    const keys = new Set(text.split(','));
    return COLUMNS.filter((c) => (text === '' ? c.usual : c.fixed || keys.has(c.key)));
}

/* The address after a click on one of them; '' where it is the usual choice again. */
export function toggle_column(text: string, key: string): string {
    const now = new Set(chosen_columns(text).map((c) => c.key));
    if (!now.delete(key)) {
        now.add(key);
    }
    const next = COLUMNS.filter((c) => c.fixed || now.has(c.key));
    return next.every((c) => c.usual) && next.length === COLUMNS.filter((c) => c.usual).length ? '' : next.map((c) => c.key).join(',');
}
