/* Hosts and services: who takes part, sorted and searched; and one host by itself. All of it is in the address:
 * host = the one shown, vs = the one beside it, v = services instead of hosts, f = filter, q = search, o = order. */
import { param, subscribe } from '../live/store';
import { use_mount } from '../ui/chart';
import { HostPage } from './hosts/host';
import { HostList } from './hosts/list';

export function Hosts() {
    use_mount(() => subscribe({}));
    const host = param('host');
    return host ? <HostPage key={host} address={host} /> : <HostList />;
}
