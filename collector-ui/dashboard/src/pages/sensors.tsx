/* Sensors: all of them, the worst first; and one by itself. In the address: sensor = the one shown, vs = the one beside it,
 * m = what its chart shows, o = order of the list. */
import { param, subscribe } from '../live/store';
import { use_mount } from '../ui/chart';
import { SensorList } from './sensors/list';
import { SensorPage } from './sensors/sensor';

export function Sensors() {
    use_mount(() => subscribe({}));
    const sensor = param('sensor');
    return sensor ? <SensorPage key={sensor} id={sensor} /> : <SensorList />;
}
