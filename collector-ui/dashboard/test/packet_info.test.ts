import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packet_info } from '../src/lib/packet_info';

test('a row starts with the network layer and keeps what lies above it', () => {
    assert.equal(
        packet_info('Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02 | VLAN 100 | IPv4 10.0.9.66 > 10.0.1.20 ttl=64 len=52 | TCP 51200 > 390 [SYN] seq=1'),
        '10.0.9.66 > 10.0.1.20 | TCP 51200 > 390 [SYN] seq=1',
    );
    assert.equal(packet_info('Ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02 | ARP who-has 10.0.0.1'), 'ARP who-has 10.0.0.1');
});

test('an IP layer that carries nothing known keeps its figures', () => {
    assert.equal(packet_info('Ethernet a > b | IPv4 10.0.0.1 > 10.0.0.2 ttl=64 len=20'), 'IPv4 10.0.0.1 > 10.0.0.2 ttl=64 len=20');
});

test('a summary without a network layer is not lost', () => {
    assert.equal(packet_info('Ethernet a > b type=0x88cc'), 'Ethernet a > b type=0x88cc');
    assert.equal(packet_info('Ethernet a > b | LLDP switch-7'), 'LLDP switch-7');
    assert.equal(packet_info('TCP 10.0.0.1:1 > 10.0.0.2:2 | GET /'), 'TCP 10.0.0.1:1 > 10.0.0.2:2 | GET /');
    assert.equal(packet_info(''), '');
});
