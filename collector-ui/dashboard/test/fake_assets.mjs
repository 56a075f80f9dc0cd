/* The fake collector's ListAssets: two for the scanner of the alerts, one with a hostile name, one without an address. */
const HOSTS = [
    { sensor_id: 'fra-1', interface: 'eth1', vlan_id: 30, ip: '10.3.7.41', mac: '02:1b:21:0a:7c:41', host_name: 'scan-lab-41', vendor_class: 'MSFT 5.0', dhcp_fingerprint: '1,3,6,15,31,33', sources: ['ASSET_SOURCE_ARP', 'ASSET_SOURCE_DHCP'], age: 9 * 86_400_000, seen: 4000, sightings: '1812' },
    { sensor_id: 'fra-2', interface: 'eth0', vlan_id: 0, ip: '10.3.7.41', mac: '02:1b:21:0a:7c:41', host_name: '', vendor_class: '', dhcp_fingerprint: '', sources: ['ASSET_SOURCE_ARP'], age: 3_600_000, seen: 61_000, sightings: '44' },
    { sensor_id: 'fra-1', interface: 'eth1', vlan_id: 30, ip: '10.3.7.1', mac: '02:00:5e:00:01:1e', host_name: '', vendor_class: '', dhcp_fingerprint: '', sources: ['ASSET_SOURCE_ARP'], is_router: true, is_dhcp_server: true, age: 30 * 86_400_000, seen: 1000, sightings: '90211' },
    { sensor_id: 'fra-1', interface: 'eth1', vlan_id: 30, ip: '10.3.7.66', mac: '02:1b:21:0a:7c:66', host_name: '<img src=x onerror=alert(1)>', vendor_class: 'android-dhcp-14', dhcp_fingerprint: '1,3', sources: ['ASSET_SOURCE_DHCP'], age: 600_000, seen: 2000, sightings: '3' },
    { sensor_id: 'ams-1', interface: 'eth0', vlan_id: 0, ip: '', mac: '02:1b:21:0a:7c:99', host_name: 'newcomer', vendor_class: '', dhcp_fingerprint: '1', sources: ['ASSET_SOURCE_DHCP'], age: 5000, seen: 5000, sightings: '1' },
];

export function list_assets(q, now) {
    const iso = (ms) => new Date(ms).toISOString();
    const [address, search] = [q.get('address') ?? '', (q.get('search') ?? '').toLowerCase()];
    const rows = HOSTS.filter((a) => (address === '' || a.ip === address || a.mac === address) && (search === '' || [a.ip, a.mac, a.host_name, a.vendor_class].some((t) => t.toLowerCase().includes(search))));
    return {
        assets: rows.slice(0, Number(q.get('page_size') || 100)).map(({ age, seen, ...a }) => ({ is_router: false, is_dhcp_server: false, ...a, first_time: iso(now - age), last_time: iso(now - seen) })),
        next_page_token: '', total: rows.length, replaced: '0', coverage: { sensors_asked: 12, sensors_answered: 11, complete: false },
    };
}
