import assert from 'node:assert/strict';
import { test } from 'node:test';
import { by_address, by_sight, read_assets } from '../src/lib/assets';

const one = { sensor_id: 's-1', interface: 'eth0', vlan_id: 7, ip: '10.0.0.1', mac: '02:00:00:00:00:01', host_name: 'printer', vendor_class: 'HP', sources: ['ASSET_SOURCE_ARP', 'ASSET_SOURCE_DHCPV6', 'ASSET_SOURCE_LATER'], is_router: true, is_dhcp_server: true, first_time: '2026-11-30T10:00:00Z', last_time: '2026-11-30T10:01:00Z', sightings: '12' };

test('an asset is read, and what is none is left out', () => {
    const { rows, total } = read_assets({ assets: [one, null, 3, {}, { mac: '02:00:00:00:00:02', sources: 'x', vlan_id: null }], total: 9 });
    assert.equal(rows.length, 2);
    assert.equal(total, 9);
    const [a, b] = rows;
    assert.deepEqual([a.ip, a.mac, a.vlan, a.name, a.vendor, a.sightings], ['10.0.0.1', '02:00:00:00:00:01', 7, 'printer', 'HP', 12]);
    assert.deepEqual([a.sources, a.roles], [['ARP', 'DHCPv6'], ['router', 'DHCP server']]);
    assert.equal(a.last_ms! - a.first_ms!, 60_000);
    assert.deepEqual([b.ip, b.vlan, b.sources, b.roles, b.first_ms], ['', 0, [], [], null]);
    assert.deepEqual(read_assets({}), { rows: [], total: 0 });
});

test('the newest stands first', () => {
    const { rows } = read_assets({ assets: [one, { ...one, sensor_id: 's-2', last_time: '2026-11-30T11:00:00Z' }, { ...one, sensor_id: 's-0', last_time: undefined }] });
    assert.deepEqual(by_sight(rows).map((a) => a.sensor_id), ['s-2', 's-1', 's-0']);
});

test('what several sensors know is found once', () => {
    const { rows } = read_assets({ assets: [{ ...one, host_name: '' }, { ...one, sensor_id: 's-2' }, { ...one, mac: '02:00:00:00:00:09' }] });
    assert.deepEqual(by_address(rows).map((f) => [f.ip, f.mac, f.name, f.sensors]), [
        ['10.0.0.1', '02:00:00:00:00:01', 'printer', ['s-1', 's-2']],
        ['10.0.0.1', '02:00:00:00:00:09', 'printer', ['s-1']],
    ]);
});
