/* The page that the address names: loaded when first shown. One that fails leaves the frame and the others alive. */
import { Component, type ComponentChildren, type ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { safe } from '../lib/format';
import type { PageName } from '../lib/route';
import { connection } from '../live/store';
import { Overview } from '../pages/overview';

const LAZY: Partial<Record<PageName, () => Promise<ComponentType>>> = {
    flows: () => import('../pages/flows').then((m) => m.Flows),
    hosts: () => import('../pages/hosts').then((m) => m.Hosts),
    map: () => import('../pages/map').then((m) => m.ServiceMapPage),
    sensors: () => import('../pages/sensors').then((m) => m.Sensors),
    alerts: () => import('../pages/alerts').then((m) => m.Alerts),
    system: () => import('../pages/system').then((m) => m.System),
    packets: () => import('../pages/packets').then((m) => m.Packets),
};

class Fence extends Component<{ children: ComponentChildren }, { error: unknown }> {
    state = { error: null as unknown };
    componentDidCatch(error: unknown) {
        console.error(error);
        this.setState({ error });
    }
    render() {
        if (this.state.error === null) {
            return this.props.children;
        }
        return (
            <div class="state" role="alert">
                <p>
                    <b>This page failed to draw.</b>
                    <br />
                    {safe(this.state.error instanceof Error ? this.state.error.message : '')}
                </p>
                <button type="button" class="btn" onClick={() => this.setState({ error: null })}>
                    Try again
                </button>
            </div>
        );
    }
}

const loaded = new Map<PageName, ComponentType>([['overview', Overview]]);

export function Page({ name }: { name: PageName }) {
    const [, redraw] = useState(0);
    const [failed, set_failed] = useState(false);
    const ready = loaded.get(name);
    const connected = connection.value.state === 'open';
    const was_lost = useRef(false);
    useEffect(() => {
        if (failed && connected && was_lost.current) {
            location.reload(); /* a browser may remember that the import failed; the address holds the rest */
        }
        was_lost.current = !connected;
    }, [failed, connected]);
    useEffect(() => {
        if (ready) {
            return;
        }
        let wanted = true;
        LAZY[name]!()
            .then((page) => {
                loaded.set(name, page);
                if (wanted) {
                    redraw((n) => n + 1);
                }
            })
            .catch(() => wanted && set_failed(true));
        return () => {
            wanted = false;
        };
    }, [name]);
    if (failed) {
        return (
            <div class="state" role="alert">
                <p>
                    <b>This page could not be loaded.</b> {connected ? 'The collector may have been updated.' : 'It comes as soon as the collector answers again.'}
                </p>
                {connected && (
                    <button type="button" class="btn" onClick={() => location.reload()}>
                        Reload
                    </button>
                )}
            </div>
        );
    }
    const P = ready;
    return P ? (
        <Fence>
            <P />
        </Fence>
    ) : (
        <div class="state" />
    );
}
