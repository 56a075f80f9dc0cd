/* Packets: the samples the sensors sent, newest first; one of them as protocol tree and bytes, linked both ways. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { use_keys } from '../keys';
import { app_name, bytes as bytes_text, moment, NONE, num, safe, whole } from '../lib/format';
import { hex_rows, layer_at, smallest_field_at, type Range } from '../lib/hex';
import { packet_info } from '../lib/packet_info';
import { read_packet, read_packet_row, type Packet, type PacketRow } from '../live/records';
import { get, Problem } from '../live/rest';
import { Captures, CapturesButton } from './packets/captures';
import { SequencePlot } from './packets/sequence_plot';
import { flow_key } from '../live/records';
import { hello, href, is_live, param, patch, paused_at, reload, sensor_name, sensors, server_now, subscribe } from '../live/store';
import { use_mount } from '../ui/chart';
import { WindowedList } from '../ui/list';
import { CopyButton, Dot, Empty, Failed, Loading, Panel } from '../ui/parts';

const LIMIT = 500;
const REFRESH_MS = 2000;

/* The colour of a layer is that of its place in the stack. */
const slot_of_layer = (index: number) => (index === 0 ? 0 : [5, 3, 1, 2, 4, 6][(index - 1) % 6]);

const PROTOCOLS = /\b(TLS|QUIC|DNS|mDNS|LLMNR|HTTP|SSH|DHCP|NTP|ICMPv6|ICMP|ARP|TCP|UDP|SCTP|IGMP|GRE|ESP)\b/gi;

/* The innermost protocol that the summary names. */
function protocol_of(summary: string): string {
    const found = summary.match(PROTOCOLS);
    if (!found) {
        return '';
    }
    const names = found.map((p) => app_name(p.toLowerCase()));
    return names.find((p) => p !== 'TCP' && p !== 'UDP') ?? names[0];
}

const SLOT_OF: Record<string, number> = { TLS: 1, QUIC: 2, TCP: 3, HTTP: 4, DNS: 5, SSH: 6, UDP: 2, ICMP: 4, ICMPv6: 4 };

export function Packets() {
    use_mount(() => subscribe({}));
    const sensor = param('sensor');
    const flow = param('flow');
    const selected = param('sel');
    const list = useSignal<PacketRow[] | null>(null);
    const waiting = useSignal<PacketRow[] | null>(null);
    const about = useSignal<{ held: number | null; received: number | null }>({ held: null, received: null });
    const failed = useSignal<unknown>(null);
    const inside = useSignal(false);
    const [find, set_find] = useState('');

    const query = useSignal('');
    query.value = `${sensor}\n${flow}`;
    useSignalEffect(() => {
        const [sensor_id, flow_id] = query.value.split('\n');
        void reload.value;
        const abort = new AbortController();
        let timer = 0;
        list.value = null;
        const load = async () => {
            try {
                const b = await get('/v1/packets', { sensor_id, flow_id, limit: LIMIT }, abort.signal);
                const rows = (Array.isArray(b.packets) ? b.packets : []).map(read_packet_row).filter((p) => p.id);
                about.value = { held: num(b.held), received: num(b.received) };
                failed.value = null;
                const hold = list.peek() !== null && (inside.peek() || param('sel') !== '' || paused_at.peek() !== null);
                if (!hold) {
                    list.value = rows;
                    waiting.value = null;
                } else if (rows[0]?.id !== list.peek()?.[0]?.id) {
                    waiting.value = rows;
                }
            } catch (error) {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            }
            if (!abort.signal.aborted) {
                timer = window.setTimeout(again, REFRESH_MS);
            }
        };
        const again = () => {
            if (is_live.peek() && !document.hidden) {
                void load();
            } else {
                timer = window.setTimeout(again, REFRESH_MS);
            }
        };
        void load();
        return () => {
            abort.abort();
            window.clearTimeout(timer);
        };
    });

    const all = list.value ?? [];
    const words = find.toLowerCase();
    const rows = useMemo(() => (words ? all.filter((p) => `${p.summary} ${p.flow_id} ${sensor_name(p.sensor_id)}`.toLowerCase().includes(words)) : all), [all, words]);
    const index = rows.findIndex((p) => p.id === selected);
    const select = (i: number) => {
        const row = rows[Math.max(0, Math.min(rows.length - 1, i))];
        if (row) {
            patch({ sel: row.id, at_b: '' }, selected !== '');
        }
    };
    use_keys([
        { keys: 'f', does: 'find', group: 'Packets', run: () => document.getElementById('find')?.focus() },
        { keys: 'j, ArrowDown', does: 'next packet', group: 'Packets', run: () => select(index + 1) },
        { keys: 'k, ArrowUp', does: 'packet before', group: 'Packets', run: () => select(index < 0 ? 0 : index - 1) },
        { keys: 'Escape', does: 'close', group: 'Packets', run: () => patch({ sel: '' }, true) },
    ]);
    const fresh = waiting.value ? waiting.value.filter((p) => !new Set(all.map((q) => q.id)).has(p.id)).length : 0;
    const now = server_now();
    const may_capture = hello.value?.caps.capture === true;
    const disabled = failed.value instanceof Problem && failed.value.reason === 'SWITCHED_OFF';
    return (
        <div class={`pk-page ${selected ? 'with-drawer' : ''}`}>
            <div class="qb">
                <div class="q">
                    <input id="find" class="plain" value={find} placeholder="Find in these packets: an address, a flag, a name" aria-label="Find in these packets" maxLength={200} spellcheck={false} onInput={(e) => set_find(e.currentTarget.value)} onKeyDown={(e) => e.key === 'Escape' && e.currentTarget.blur()} />
                </div>
                <label class="btn pick">
                    <span class="dim">sensor</span>
                    <select value={sensor} onChange={(e) => patch({ sensor: e.currentTarget.value, sel: '' })}>
                        <option value="">all</option>
                        {(sensors.value ?? []).map((s) => (
                            <option key={s.id} value={s.id}>
                                {safe(s.name)}
                            </option>
                        ))}
                    </select>
                </label>
                {may_capture && <CapturesButton />}
                {flow && (
                    <span class="chip big">
                        flow <b class="mono">{safe(flow)}</b>
                        <button type="button" aria-label="All flows" onClick={() => patch({ flow: '', sel: '' })}>
                            ×
                        </button>
                    </span>
                )}
            </div>
            {may_capture && param('cap') === '1' && <Captures key={[sensor, param('bpf'), param('alert'), param('cs')].join('\n')} />}
            <div class="cap">
                <span>
                    <b>{whole(rows.length)}</b> shown
                    {about.value.held !== null && ` · ${whole(about.value.held)} held`}
                    {about.value.received !== null && <span class="hide-m"> · {whole(about.value.received)} sampled since the collector started</span>}
                </span>
                <span class="dim hide-m">a sample of the traffic, newest first; bytes as the sensor was allowed to send them</span>
            </div>
            <div class="pk">
                <section class="panel tblw" aria-label="Packets">
                    <div class="th pkr" aria-hidden="true">
                        <span>Time</span>
                        <span />
                        <span>Proto</span>
                        <span>Info</span>
                        <span class="num">Len</span>
                    </div>
                    {disabled ? (
                        <Empty>Packet samples are switched off on this collector.</Empty>
                    ) : failed.value !== null && list.value === null ? (
                        <Failed what="The packets could not be read." error={failed.value} retry={() => reload.value++} />
                    ) : list.value === null ? (
                        <Loading rows={12} />
                    ) : (
                        <WindowedList
                            count={rows.length}
                            row_height={25}
                            label="Packets"
                            selected={index}
                            choose={select}
                            on_hover={(v) => (inside.value = v)}
                            empty={<Empty>{words ? 'No packet here holds that text.' : flow ? 'No sample of this flow is held.' : 'No packet has been sampled yet.'}</Empty>}
                            row={(i) => {
                                const p = rows[i];
                                const protocol = protocol_of(p.summary);
                                return {
                                    key: p.id,
                                    class: 'fl pkr',
                                    cells: (
                                        <>
                                            <span role="gridcell" class="mono d" title={p.at_ms === null ? '' : `${moment(p.at_ms, now).slice(0, -8)}${fine_time(p.at_ms)}`}>
                                                {p.at_ms === null ? NONE : fine_time(p.at_ms).slice(0, 12)}
                                            </span>
                                            <span role="gridcell" class="d" aria-label={p.direction === '>' ? 'from the client' : p.direction === '<' ? 'from the server' : ''}>
                                                {p.direction === '>' ? '→' : p.direction === '<' ? '←' : ''}
                                            </span>
                                            <span role="gridcell" class="app">
                                                <Dot slot={SLOT_OF[protocol] ?? 0} />
                                                {protocol}
                                            </span>
                                            <span role="gridcell" title={safe(p.summary)}>
                                                {safe(packet_info(p.summary))}
                                            </span>
                                            <span role="gridcell" class="num">
                                                {whole(p.wire_length)}
                                            </span>
                                        </>
                                    ),
                                };
                            }}
                        />
                    )}
                    {flow && list.value !== null && <SequencePlot samples={rows} selected={selected} choose={(id) => patch({ sel: id, at_b: '' }, selected !== '')} />}
                    {fresh > 0 && (
                        <button
                            type="button"
                            class="newer"
                            onClick={() => {
                                list.value = waiting.value;
                                waiting.value = null;
                            }}
                        >
                            {fresh >= LIMIT ? `${LIMIT} or more` : fresh} new above
                        </button>
                    )}
                </section>
                {selected ? <Inspector key={selected} id={selected} /> : <Panel class="pk-none" title="Packet" children={<Empty>Choose a packet to see its layers and bytes.</Empty>} />}
            </div>
        </div>
    );
}

function fine_time(at_ms: number): string {
    const d = new Date(at_ms);
    const micro = Math.floor((at_ms % 1000) * 1000)
        .toString()
        .padStart(6, '0');
    return `${d.toISOString().slice(11, 19)}.${micro.slice(0, 3)}\u00a0${micro.slice(3)}`;
}

function Inspector({ id }: { id: string }) {
    const packet = useSignal<Packet | null>(null);
    const failed = useSignal<unknown>(null);
    const again = useSignal(0);
    useSignalEffect(() => {
        void again.value;
        const abort = new AbortController();
        get(`/v1/packets/${encodeURIComponent(id)}`, {}, abort.signal)
            .then((b) => {
                packet.value = read_packet(b);
                failed.value = null;
            })
            .catch((error: unknown) => {
                if (!abort.signal.aborted) {
                    failed.value = error;
                }
            });
        return () => abort.abort();
    });
    if (failed.value !== null) {
        return (
            <section class="panel pk-none">
                <Failed what={failed.value instanceof Problem && failed.value.status === 404 ? 'This packet is no longer held.' : 'The packet could not be read.'} error={failed.value} retry={() => again.value++} />
            </section>
        );
    }
    return packet.value === null ? (
        <section class="panel pk-none">
            <Loading rows={10} />
        </section>
    ) : (
        <Both p={packet.value} />
    );
}

/* The address keeps which field is marked (as first byte and length), so a link shows the same. */
function Both({ p }: { p: Packet }) {
    const marked = read_mark(param('at_b'), p.data.length);
    const [over, set_over] = useState<Range | null>(null);
    const [closed, set_closed] = useState<Set<number>>(new Set());
    const shown = over ?? marked;
    const mark = (r: Range | null) => patch({ at_b: r && r.length ? `${r.offset}+${r.length}` : '' }, true);

    const flat = useMemo(() => p.layers.flatMap((l, i) => l.fields.map((f, j) => ({ layer: i, field: j, offset: f.offset, length: f.length }))), [p]);
    const same = (a: Range, b: Range | null) => b !== null && a.length > 0 && a.offset === b.offset && a.length === b.length;
    const step = (by: number) => {
        const usable = flat.filter((f) => f.length > 0);
        const now = usable.findIndex((f) => same(f, marked));
        const next = usable[Math.max(0, Math.min(usable.length - 1, now + by))];
        if (next) {
            mark({ offset: next.offset, length: next.length });
        }
    };
    use_keys([
        { keys: 'ArrowRight', does: 'next field', group: 'Packets', run: () => step(1) },
        { keys: 'ArrowLeft', does: 'field before', group: 'Packets', run: () => step(-1) },
    ]);
    useEffect(() => {
        document.querySelector('.tf2.on')?.scrollIntoView({ block: 'nearest' });
    }, [param('at_b')]);

    const click_byte = (offset: number) => {
        const f = smallest_field_at(p.layers, offset);
        const l = layer_at(p.layers, offset);
        if (f) {
            mark(f);
            set_closed((c) => (l !== null && c.has(l) ? new Set([...c].filter((x) => x !== l)) : c));
        } else if (l !== null) {
            mark({ offset: p.layers[l].offset, length: p.layers[l].length });
        }
    };
    const cut = p.wire_length !== null && p.captured_length !== null && p.data.length < p.wire_length;
    return (
        <>
            <Panel
                class="pk-tree"
                title="Packet"
                sub={`${whole(p.wire_length)} bytes on the wire${cut ? `, ${whole(p.data.length)} held` : ''}`}
                tools={
                    <span class="go hide-m" aria-hidden="true">
                        ← → step
                    </span>
                }
            >
                <div class="tree" role="tree" aria-label="Layers" onPointerLeave={() => set_over(null)}>
                    <div class="tn" role="none">
                        <span class="dim cut">
                            {safe(sensor_name(p.sensor_id))}
                            {p.interface && ` · ${safe(p.interface)}`}
                            {p.at_ms !== null && ` · ${fine_time(p.at_ms)}`}
                            {p.flow_id && (
                                <>
                                    {' · '}
                                    <a href={href('flows', { sel: flow_key(p.sensor_id, p.flow_id) })}>flow</a>
                                </>
                            )}
                            {p.redacted && ' · payload was cut by the sensor'}
                        </span>
                    </div>
                    {p.layers.length === 0 && <Empty>The collector sent no layers for this packet.</Empty>}
                    {p.layers.map((l, i) => (
                        <div key={i} role="treeitem" aria-expanded={!closed.has(i)}>
                            <button
                                type="button"
                                class={`tn ${same(l, shown) ? 'on' : ''}`}
                                onPointerEnter={() => l.length && set_over({ offset: l.offset, length: l.length })}
                                onClick={() =>
                                    set_closed((c) => {
                                        const next = new Set(c);
                                        if (!next.delete(i)) {
                                            next.add(i);
                                        }
                                        return next;
                                    })
                                }
                            >
                                <span class="dim" aria-hidden="true">
                                    {closed.has(i) ? '▸' : '▾'}
                                </span>
                                <Dot slot={slot_of_layer(i)} />
                                <b>{app_name(l.name)}</b>
                                <span class="dim">
                                    @{l.offset} +{l.length}
                                </span>
                            </button>
                            {!closed.has(i) && (
                                <div role="group">
                                    {l.fields.map((f, j) => (
                                        <button
                                            type="button"
                                            role="treeitem"
                                            key={j}
                                            data-offset={f.offset}
                                            data-length={f.length}
                                            class={`tf2 ${same(f, shown) ? 'on' : ''}`}
                                            aria-selected={same(f, marked)}
                                            onPointerEnter={() => set_over(f.length ? { offset: f.offset, length: f.length } : null)}
                                            onClick={() => mark(same(f, marked) ? null : { offset: f.offset, length: f.length })}
                                        >
                                            <span>{safe(f.name)}</span>
                                            <span title={safe(f.value)}>{safe(f.value)}</span>
                                            <span class="d">{f.length ? `@${f.offset} +${f.length}` : 'derived'}</span>
                                        </button>
                                    ))}
                                </div>
                            )}
                        </div>
                    ))}
                </div>
            </Panel>
            <Panel class="pk-hex" title="Bytes" sub={<span class="hide-m">field ↔ bytes linked</span>} tools={<span class="go"><CopyButton label="Copy" text={[...p.data].map((b) => b.toString(16).padStart(2, '0')).join(' ')} /></span>}>
                {p.data.length === 0 ? <Empty>The sensor sent no bytes of this packet.</Empty> : <Hex p={p} shown={shown} hover={set_over} click={click_byte} />}
                <div class="lgd">
                    {p.layers.map((l, i) =>
                        l.length ? (
                            <span key={i}>
                                <Dot slot={slot_of_layer(i)} /> {app_name(l.name)}
                            </span>
                        ) : null,
                    )}
                    {cut && <span>{bytes_text((p.wire_length ?? 0) - p.data.length)} not held</span>}
                </div>
            </Panel>
        </>
    );
}

function read_mark(text: string, limit: number): Range | null {
    const m = /^(\d{1,6})\+(\d{1,6})$/.exec(text);
    if (!m) {
        return null;
    }
    const offset = Math.min(limit, Number(m[1]));
    return { offset, length: Math.min(limit - offset, Number(m[2])) };
}

/* One delegated listener for all bytes. */
function Hex(props: { p: Packet; shown: Range | null; hover: (r: Range | null) => void; click: (offset: number) => void }) {
    const { p, shown } = props;
    const rows = useMemo(() => hex_rows(p.data), [p]);
    const layers = useMemo(() => Array.from(p.data, (_, i) => layer_at(p.layers, i)), [p]);
    const lit = (i: number) => shown !== null && i >= shown.offset && i < shown.offset + shown.length;
    const byte_of = (e: Event) => {
        const cell = (e.target as Element).closest('[data-b]');
        return cell ? Number(cell.getAttribute('data-b')) : null;
    };
    const cls = (i: number) => `${layers[i] === null ? '' : `l${slot_of_layer(layers[i]!)}`} ${lit(i) ? 'hl' : ''}`;
    return (
        <div
            class="hex mono"
            role="img"
            aria-label={`${p.data.length} bytes${shown ? `, ${shown.length} marked from ${shown.offset}` : ''}`}
            onPointerOver={(e) => {
                const at = byte_of(e);
                if (at !== null) {
                    props.hover(smallest_field_at(p.layers, at));
                }
            }}
            onPointerLeave={() => props.hover(null)}
            onClick={(e) => {
                const at = byte_of(e);
                if (at !== null) {
                    props.click(at);
                }
            }}
        >
            {rows.map((r) => (
                <div class="hex-row" key={r.offset}>
                    <span class="off">{r.offset.toString(16).padStart(4, '0')}</span>
                    {r.bytes.map((b, j) => (
                        <span key={j} data-b={r.offset + j} class={`by ${j === 8 ? 'g' : ''} ${cls(r.offset + j)}`}>
                            {b}
                        </span>
                    ))}
                    {Array.from({ length: 16 - r.bytes.length }, (_, j) => (
                        <span key={`p${j}`} class={`by ${r.bytes.length + j === 8 ? 'g' : ''}`} />
                    ))}
                    <span class="asc">
                        {r.text.map((c, j) => (
                            <span key={j} data-b={r.offset + j} class={lit(r.offset + j) ? 'hl' : ''}>
                                {c}
                            </span>
                        ))}
                    </span>
                </div>
            ))}
        </div>
    );
}
