/* No sensor has ever reported: how to connect one. Turns into the overview by itself with the first data. */
import { safe } from '../../lib/format';
import { use_keys } from '../../keys';

export function FirstRun() {
    const host = location.hostname.includes(':') ? `[${location.hostname}]` : location.hostname;
    use_keys([]);
    return (
        <div class="first">
            <svg viewBox="0 0 320 90" width="320" height="90" aria-hidden="true">
                <path class="first-wave" d="M0 45c20 0 20-28 40-28s20 56 40 56 20-56 40-56 20 56 40 56 20-56 40-56 20 56 40 56 20-56 40-56 20 28 40 28" />
            </svg>
            <h2>Waiting for the first sensor</h2>
            <p>The collector runs and has no data yet. Start a sensor on this machine, or show it a capture file:</p>
            <pre>netscope-sensor --quiet --collector 127.0.0.1:50052{'\n'}netscope-sensor --quiet --collector 127.0.0.1:50052 --read-pcap trace.pcap --pace</pre>
            <p>A sensor on another machine needs its own certificate. On the collector's machine ({safe(host)}):</p>
            <pre>netscope-collector enroll NAME --host collector.example</pre>
            <p class="dim">This page changes by itself when the first packets arrive.</p>
        </div>
    );
}
