/* What the matching flows have in common: a click takes a value into the filter or out of it. */
import { state_of_value, type ClickKind } from '../../lib/filter';
import { app_name, enum_words, NONE, safe } from '../../lib/format';
import { sensor_name } from '../../live/store';

export const FACETS: [string, string, string][] = [
    ['application', 'Application', 'app'],
    ['sensor', 'Sensor', 'sensor'],
    ['server_port', 'Server port', 'server.port'],
    ['tcp_state', 'TCP state', 'tcp.state'],
];

export const show_value = (field: string, value: string) =>
    field === 'app' ? value.split(', ').map(app_name).join(', ') : field === 'sensor' ? value.split(', ').map(sensor_name).map(safe).join(', ') : field === 'tcp.state' ? enum_words(value) : safe(value);

function kind_of_click(e: MouseEvent): ClickKind {
    return e.altKey ? 'exclude' : e.shiftKey ? 'only' : 'include';
}

export function Facet(props: { title: string; values: { value: string; bytes: number }[]; field: string; filter: string; click: (field: string, value: string, kind: ClickKind) => void }) {
    const total = props.values.reduce((a, v) => a + v.bytes, 0);
    const top = Math.max(1, ...props.values.map((v) => v.bytes));
    if (props.values.length === 0) {
        return null;
    }
    return (
        <div class="fg">
            <h3>{props.title}</h3>
            {props.values.map((v) => {
                const state = state_of_value(props.filter, props.field, v.value);
                return (
                    <button type="button" key={v.value} class={`fr ${state === 'in' ? 'on' : state === 'out' ? 'no' : ''}`} aria-pressed={state !== ''} onClick={(e) => props.click(props.field, v.value, kind_of_click(e))}>
                        <i style={{ width: `${(100 * v.bytes) / top}%` }} />
                        <span class="cut">{show_value(props.field, v.value)}</span>
                        <span class="num">{total > 0 ? `${share(v.bytes / total)}` : NONE}</span>
                    </button>
                );
            })}
        </div>
    );
}

const share = (part: number) => (part > 0 && part < 0.005 ? '<1\u00a0%' : `${Math.round(part * 100)}\u00a0%`);
