/* Overview: what is going on, in one look. */
import { useEffect } from 'preact/hooks';
import { connection, hello, sensors, subscribe } from '../live/store';
import { SituationLine } from './overview/situation';
import { Tiles } from './overview/tiles';
import { split_by, Throughput } from './overview/throughput';
import { Talkers } from './overview/talkers';
import { Pulse } from './overview/pulse';
import { TopFlows } from './overview/top_flows';
import { OpenAlerts } from './overview/open_alerts';
import { FirstRun } from './overview/first_run';

export function Overview() {
    const by = split_by();
    const dim = by === 'sensor' || by === 'site' ? by : 'app';
    useEffect(() => subscribe({ by: { dim, top: 20 }, flows: { top: 10, sort: 'bps' } }), [dim]);
    const nothing_yet = sensors.value !== null && sensors.value.length === 0 && connection.value.state === 'open' && hello.value?.data == null;
    if (nothing_yet) {
        return <FirstRun />;
    }
    return (
        <>
            <SituationLine />
            <Tiles />
            <div class="grid over">
                <Throughput />
                <Talkers />
                <Pulse />
                <TopFlows />
                <OpenAlerts />
            </div>
        </>
    );
}
