/* The loss ledger: where packets and records went, stage by stage, of each sensor and of the collector. What a stage took in
 * is what it put out, lost for a reason, or still holds. */
import { useEffect, useState } from 'preact/hooks';
import { NONE, num, safe, whole } from '../lib/format';
import { get, type Bag } from '../live/rest';
import { sensor_name } from '../live/store';

const EVERY_MS = 5000;

interface Loss {
    reason: string;
    count: number;
}

interface Row {
    stage: string;
    name: string;
    unit: string;
    in: number;
    out: number;
    held: number;
    lost: Loss[];
}

export interface LedgerPart {
    title: string;
    rows: Row[];
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const list = (value: unknown): Bag[] => (Array.isArray(value) ? (value as Bag[]) : []);

function read_row(bag: Bag): Row {
    return {
        stage: text(bag.stage).replace('LEDGER_STAGE_', '').toLowerCase(),
        name: text(bag.name),
        unit: text(bag.unit),
        in: num(bag.in) ?? 0,
        out: num(bag.out) ?? 0,
        held: num(bag.held) ?? 0,
        lost: list(bag.lost)
            .map((one) => ({ reason: text(one.reason), count: num(one.count) ?? 0 }))
            .filter((one) => one.count > 0),
    };
}

export function read_parts(bag: Bag): LedgerPart[] {
    const sensors = list(bag.sensors).map((one) => ({ title: text(one.sensor_id), rows: list(one.rows).map(read_row) }));
    return [...sensors.filter((one) => one.rows.length > 0), { title: 'collector', rows: list(bag.rows).map(read_row) }];
}

export function Lost({ of }: { of: Loss[] }) {
    if (of.length === 0) {
        return <span class="dim">0</span>;
    }
    return <span class="warm">{of.map((one) => `${whole(one.count)} ${safe(one.reason).replace(/_/g, ' ')}`).join(', ')}</span>;
}

export function Ledger() {
    const [parts, set_parts] = useState<LedgerPart[] | null>(null);
    const [failed, set_failed] = useState('');
    const [is_open, set_open] = useState(false);
    useEffect(() => {
        if (!is_open) {
            return undefined;
        }
        const stop = new AbortController();
        const load = () =>
            get('/v1/ledger', {}, stop.signal)
                .then((bag) => {
                    set_parts(read_parts(bag));
                    set_failed('');
                })
                .catch((error: Error) => {
                    if (!stop.signal.aborted) {
                        set_failed(error.message);
                    }
                });
        void load();
        const timer = window.setInterval(load, EVERY_MS);
        return () => {
            window.clearInterval(timer);
            stop.abort();
        };
    }, [is_open]);
    return (
        <details class="ledger" onToggle={(event) => set_open(event.currentTarget.open)}>
            <summary>Loss ledger: where packets and records went{failed && ` (${failed})`}</summary>
            <div class="tscroll" tabIndex={0} role="region" aria-label="Loss ledger">
                <table class="grid-table">
                    <thead>
                        <tr>
                            {['Of', 'Stage', 'Name', 'Unit'].map((title) => (
                                <th key={title} scope="col">
                                    {title}
                                </th>
                            ))}
                            {['In', 'Out', 'Held', 'Lost'].map((title) => (
                                <th key={title} scope="col" class="num">
                                    {title}
                                </th>
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {(parts ?? []).flatMap((part) =>
                            part.rows.map((row) => (
                                <tr key={`${part.title} ${row.stage} ${row.name}`}>
                                    <td>{safe(sensor_name(part.title))}</td>
                                    <td>{row.stage}</td>
                                    <td>{safe(row.name) || NONE}</td>
                                    <td>{row.unit}</td>
                                    <td class="num">{whole(row.in)}</td>
                                    <td class="num">{whole(row.out)}</td>
                                    <td class="num">{whole(row.held)}</td>
                                    <td class="num">
                                        <Lost of={row.lost} />
                                    </td>
                                </tr>
                            )),
                        )}
                    </tbody>
                </table>
            </div>
        </details>
    );
}
