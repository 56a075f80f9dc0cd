/* Who talks to whom: sensor or site > application > destination, as ribbons whose width is the traffic. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { app_name, safe, si } from '../lib/format';
import { one_of, term } from '../lib/filter';
import { LABEL_GAP, ribbon_layout, type RibbonNode, type Talker } from '../lib/ribbon';
import { app_slot, go, sensor_name } from '../live/store';
import { shorten, wide } from './names';

const NODE = 9;
const GAP = 12; /* between names of two columns at the same height */

/* With `site` the left side is sites: it tells the sensors of one. */
export function Ribbons({ talkers, seconds, site }: { talkers: Talker[]; seconds: number; site?: (name: string) => string[] }) {
    const box = useRef<HTMLDivElement>(null);
    const [size, set_size] = useState({ width: 0, height: 0 });
    useLayoutEffect(() => {
        const element = box.current!;
        const measure = () => set_size({ width: element.clientWidth, height: element.clientHeight });
        measure();
        const observer = new ResizeObserver(measure);
        observer.observe(element);
        return () => observer.disconnect();
    }, []);

    const { width, height } = size;
    const layout = ribbon_layout(talkers, Math.max(0, height - 6));
    /* left of the centre: sensors and applications have short names, hosts long ones */
    const centre = width * 0.4;
    const x_of = (column: number) => (column === 0 ? 0 : column === 1 ? centre - NODE / 2 : width - NODE);
    const name_of = (n: RibbonNode) => (n.key === '' ? 'Other' : n.column === 0 ? (site ? n.key : sensor_name(n.key)) : n.column === 1 ? app_name(n.key) : n.key);
    const rate = (bytes: number) => si((bytes * 8) / Math.max(1, seconds));
    const filter_of = (n: RibbonNode): string => {
        if (n.key === '') {
            return '';
        }
        if (n.column === 0) {
            return site ? one_of('sensor', site(n.key)) : term('sensor', n.key);
        }
        if (n.column === 1) {
            return term('app', n.key);
        }
        return /^[0-9.]+$|:/.test(n.key) ? term('server.ip', n.key) : term('server.name', n.key);
    };
    const open = (parts: string[]) => {
        const f = parts.filter(Boolean).join(' AND ');
        if (f) {
            go('flows', { f });
        }
    };
    const largest = [...talkers].sort((a, b) => b.bytes - a.bytes)[0];
    /* A name may reach the next column; where one of the middle column stands at the same height, what that leaves. */
    const middle = layout.nodes.filter((n) => n.column === 1 && n.label_y !== null).map((n) => ({ y: n.label_y!, wide: wide(`${safe(name_of(n))} ${rate(n.bytes)}`) }));
    const room_of = (n: RibbonNode) => {
        if (n.column === 0) {
            return centre - 1.5 * NODE - 5 - GAP;
        }
        const right = width - centre - 1.5 * NODE - 10;
        if (n.column === 1) {
            return right / 2;
        }
        const beside = middle.filter((m) => Math.abs(m.y - n.label_y!) < LABEL_GAP).map((m) => m.wide + GAP);
        return right - Math.max(0, ...beside);
    };
    /* without room for both the name stays; the figure is in the tooltip */
    const label_of = (n: RibbonNode) => {
        const name = safe(name_of(n));
        const value = rate(n.bytes);
        const room = room_of(n);
        const beside = wide(` ${value}`);
        if (wide(name) + beside > room && wide(name) > room - 52) {
            return shorten(name, room);
        }
        return (
            <>
                {shorten(name, room - beside)} <tspan class="ribbon-value">{value}</tspan>
            </>
        );
    };
    const summary = largest
        ? `Largest: ${safe(site ? largest.sensor || 'no site' : sensor_name(largest.sensor))}, ${app_name(largest.app)}, to ${safe(largest.host) || 'others'}, ${rate(largest.bytes)}bit/s`
        : 'no traffic';

    return (
        <div class="ribbons" ref={box}>
            {width > 0 && (
                <svg width={width} height={height} viewBox={`0 -3 ${width} ${height}`} role="img" aria-label={`Who talks to whom. ${summary}`}>
                    {layout.links.map((l) => {
                        const x1 = x_of(l.from.column) + NODE;
                        const x2 = x_of(l.to.column);
                        const bend = (x2 - x1) / 2;
                        const a = l.y_from;
                        const b = l.y_to;
                        const h = Math.max(0.6, l.height);
                        return (
                            <path
                                key={`${l.from.column}${l.from.key}>${l.to.key}>${l.app}`}
                                class={`ribbon f${app_slot(l.app)}`}
                                d={`M${x1} ${a}C${x1 + bend} ${a} ${x2 - bend} ${b} ${x2} ${b}v${h}C${x2 - bend} ${b + h} ${x1 + bend} ${a + h} ${x1} ${a + h}Z`}
                                onClick={() => open([filter_of(l.from), filter_of(l.to)])}
                            >
                                <title>{`${name_of(l.from)} – ${safe(name_of(l.to))}: ${rate(l.bytes)}bit/s`}</title>
                            </path>
                        );
                    })}
                    {layout.nodes.map((n) => (
                        <rect key={`n${n.column}${n.key}`} x={x_of(n.column)} y={n.y} width={NODE} height={n.height} rx="2" class={`ribbon-node ${n.column === 1 ? `f${app_slot(n.key)}` : 'fn'}`} onClick={() => open([filter_of(n)])}>
                            <title>{`${safe(name_of(n))}: ${rate(n.bytes)}bit/s`}</title>
                        </rect>
                    ))}
                    {layout.nodes.map((n) =>
                        n.label_y === null ? null : (
                            <text
                                key={`t${n.column}${n.key}`}
                                x={n.column === 2 ? width - NODE - 5 : x_of(n.column) + NODE + 5}
                                y={n.label_y + 4}
                                class="ribbon-name"
                                text-anchor={n.column === 2 ? 'end' : 'start'}
                                onClick={() => open([filter_of(n)])}
                            >
                                {label_of(n)}
                            </text>
                        ),
                    )}
                </svg>
            )}
        </div>
    );
}
