/* Who is who on the sensors' links, as the collector tells it (SensorService.ListAssets). Pure. */
import { num, parse_time } from './format';

export interface Asset {
    key: string;
    sensor_id: string;
    interface: string;
    vlan: number; /* 0: none */
    ip: string; /* '': not seen with an address */
    mac: string;
    name: string; /* what it calls itself by DHCP */
    vendor: string; /* likewise */
    sources: string[]; /* 'ARP', 'DHCP', ... */
    roles: string[]; /* 'router', 'DHCP server' */
    first_ms: number | null;
    last_ms: number | null;
    sightings: number;
}

export interface Assets {
    rows: Asset[];
    total: number;
}

type Bag = Record<string, unknown>;
const text = (v: unknown) => (typeof v === 'string' ? v : '');

const SOURCES: Record<string, string> = { ARP: 'ARP', NDP: 'NDP', DHCP: 'DHCP', DHCPV6: 'DHCPv6' };

function read_asset(b: Bag): Asset {
    const sources = (Array.isArray(b.sources) ? b.sources : []).map((s) => SOURCES[text(s).replace('ASSET_SOURCE_', '')]).filter((s) => s !== undefined);
    const one = {
        sensor_id: text(b.sensor_id),
        interface: text(b.interface),
        vlan: num(b.vlan_id) ?? 0,
        ip: text(b.ip),
        mac: text(b.mac),
        name: text(b.host_name),
        vendor: text(b.vendor_class),
        sources,
        roles: [...(b.is_router === true ? ['router'] : []), ...(b.is_dhcp_server === true ? ['DHCP server'] : [])],
        first_ms: parse_time(b.first_time),
        last_ms: parse_time(b.last_time),
        sightings: num(b.sightings) ?? 0,
    };
    return { ...one, key: [one.sensor_id, one.interface, one.vlan, one.ip, one.mac].join(' ') };
}

export function read_assets(b: Bag): Assets {
    const rows = (Array.isArray(b.assets) ? b.assets : []).filter((v): v is Bag => typeof v === 'object' && v !== null).map(read_asset).filter((a) => a.mac !== '');
    return { rows, total: Math.max(rows.length, num(b.total) ?? 0) };
}

/* The newest first: what is so now. */
export const by_sight = (rows: Asset[]): Asset[] => [...rows].sort((a, b) => (b.last_ms ?? 0) - (a.last_ms ?? 0) || (a.key < b.key ? -1 : 1));

/* One an address and MAC, whichever sensors know it. */
export interface Found {
    key: string;
    ip: string;
    mac: string;
    name: string;
    vendor: string;
    sensors: string[];
}

export function by_address(rows: Asset[]): Found[] {
    const found = new Map<string, Found>();
    for (const a of by_sight(rows)) {
        const key = `${a.ip} ${a.mac}`;
        const one = found.get(key) ?? { key, ip: a.ip, mac: a.mac, name: '', vendor: '', sensors: [] };
        one.name ||= a.name;
        one.vendor ||= a.vendor;
        if (!one.sensors.includes(a.sensor_id)) {
            one.sensors.push(a.sensor_id);
        }
        found.set(key, one);
    }
    return [...found.values()];
}
