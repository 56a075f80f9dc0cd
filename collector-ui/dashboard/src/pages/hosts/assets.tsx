/* What sensors know of a host by its link: MAC, what it calls itself, since when. */
import { by_address, by_sight, read_assets, type Asset, type Assets } from '../../lib/assets';
import { ago, moment, NONE, plural, safe, whole } from '../../lib/format';
import { use_history, type Asked } from '../../live/query';
import { get } from '../../live/rest';
import { href, param, reload, sensor_name, server_now } from '../../live/store';
import { Empty, Failed, Loading, Panel } from '../../ui/parts';

const ROWS = 200;
const FOUND = 50; /* that a search shows */
const SEARCH_MAX = 64;

/* They are of now, whatever time is on screen. */
export function use_assets(wanted: { address?: string; search?: string }): Asked<Assets> {
    const query = wanted.address || wanted.search ? { ...wanted, page_size: wanted.address ? ROWS : FOUND } : null;
    return use_history(JSON.stringify(['assets', query]), async (_, signal) => (query === null || (wanted.search ?? '').length > SEARCH_MAX ? read_assets({}) : read_assets(await get('/v1/assets', query, signal))));
}

function Time({ at, now, short }: { at: number | null; now: number; short: boolean }) {
    return at === null ? <>{NONE}</> : short ? <span title={moment(at, now)}>{ago(now - at)}</span> : <>{moment(at, now)}</>;
}

function Row({ a, now }: { a: Asset; now: number }) {
    return (
        <tr>
            <td class="mono">
                <a href={href('hosts', { q: a.mac })} title="hosts with this MAC">
                    {safe(a.mac)}
                </a>
            </td>
            <td class="who" title={[safe(a.name), safe(a.vendor)].filter(Boolean).join(' · ')}>
                {a.name ? safe(a.name) : <span class="dim">{NONE}</span>}
                {a.vendor && <span class="dim"> {safe(a.vendor)}</span>}
                {a.roles.map((role) => (
                    <span class="tag" key={role}>
                        {role}
                    </span>
                ))}
            </td>
            <td class="dim hide-m">{a.sources.join(', ') || NONE}</td>
            <td title={`interface ${safe(a.interface)}`}>
                <a href={href('sensors', { sel: a.sensor_id })}>{safe(sensor_name(a.sensor_id))}</a>
                <span class="dim hide-m">{a.vlan > 0 && ` VLAN ${a.vlan}`}</span>
            </td>
            <td class="num hide-m">
                <Time at={a.first_ms} now={now} short={false} />
            </td>
            <td class="num" title={plural(a.sightings, 'packet')}>
                <Time at={a.last_ms} now={now} short />
            </td>
        </tr>
    );
}

/* `quiet`: nothing where nothing is known. */
export function OnTheLink({ address, quiet = false }: { address: string; quiet?: boolean }) {
    const { answer, error } = use_assets({ address });
    const rows = by_sight(answer?.rows ?? []);
    const now = server_now();
    const macs = new Set(rows.map((a) => a.mac)).size;
    return quiet && rows.length === 0 ? null : (
        <Panel class="hp-link" title="On the link" sub={rows.length > 0 ? `${macs > 1 ? `${whole(macs)} MACs` : 'one MAC'}, ${plural(new Set(rows.map((a) => a.sensor_id)).size, 'sensor')}${answer!.total > rows.length ? `, ${whole(rows.length)} of ${whole(answer!.total)}` : ''}` : ''}>
            {error !== null && answer === null ? (
                <Failed what="What sensors know of its link could not be read." error={error} retry={() => reload.value++} />
            ) : answer === null ? (
                <Loading rows={2} />
            ) : rows.length === 0 ? (
                <Empty>No sensor has seen it by ARP, neighbour discovery or DHCP: it is behind a router, or it has been silent.</Empty>
            ) : (
                <div class="tscroll hp-list" tabIndex={0} role="region" aria-label={`What sensors know of ${safe(address)}`}>
                    <table class="mini">
                        <thead>
                            <tr>
                                <th scope="col">MAC</th>
                                <th scope="col">Calls itself</th>
                                <th scope="col" class="hide-m">
                                    By
                                </th>
                                <th scope="col">Sensor</th>
                                <th scope="col" class="num hide-m">
                                    First seen
                                </th>
                                <th scope="col" class="num">
                                    Last seen
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            {rows.map((a) => (
                                <Row key={a.key} a={a} now={now} />
                            ))}
                        </tbody>
                    </table>
                </div>
            )}
        </Panel>
    );
}

/* A search of the hosts goes through MACs and names of DHCP, too, which no flow tells. */
export function FoundOnLinks({ search }: { search: string }) {
    const { answer } = use_assets({ search });
    const found = by_address(answer?.rows ?? []);
    if (search === '' || found.length === 0) {
        return null;
    }
    return (
        <p class="map-note hs-links" role="status">
            On the links:{' '}
            {found.slice(0, 8).map((one) => (
                <span class="hs-link" key={one.key} title={`${safe(one.mac)} · ${one.sensors.map((id) => safe(sensor_name(id))).join(', ')}${one.vendor ? ` · ${safe(one.vendor)}` : ''}`}>
                    {one.ip ? <a href={href('hosts', { host: one.ip, f: param('f') })}>{safe(one.ip)}</a> : 'no address'}
                    <span class="dim">
                        {' '}
                        {safe(one.name || one.mac)}
                    </span>
                </span>
            ))}
            {answer!.total > 8 && <span class="dim">{`and more: ${whole(answer!.total)} in all`}</span>}
        </p>
    );
}
