/* One line for a packet's row, out of the sensor's summary: layers joined with " | ", the outermost first. Pure. */

const NETWORK = /^(IPv4|IPv6|ARP|ICMP|ICMPv6)\b/i;
const LINK = /^(Ethernet|VLAN|Linux cooked|Loopback|MPLS|PPPoE|PPP)\b/i;

/* From the network layer on. An IP layer that carries another one is cut down to its addresses: the rest is in the tree. */
export function packet_info(summary: string): string {
    const layers = summary.split(' | ');
    const network = layers.findIndex((l) => NETWORK.test(l));
    const above_link = layers.findIndex((l) => !LINK.test(l));
    const start = network >= 0 ? network : Math.max(0, above_link);
    return layers
        .slice(start)
        .map((l, i, rest) => (i + 1 < rest.length ? l.replace(/^IPv[46] (\S+ > \S+) .*$/, '$1') : l))
        .join(' | ');
}
