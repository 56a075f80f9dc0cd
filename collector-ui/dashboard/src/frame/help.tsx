/* All keys that work now, as they registered themselves. */
import { useEffect, useRef } from 'preact/hooks';
import { bindings } from '../keys';
import { hello } from '../live/store';

export function Help({ close }: { close: () => void }) {
    const box = useRef<HTMLDialogElement>(null);
    useEffect(() => {
        box.current?.showModal();
    }, []);
    const groups = new Map<string, { keys: string; does: string }[]>();
    for (const b of bindings.value) {
        groups.set(b.group, [...(groups.get(b.group) ?? []), b]);
    }
    return (
        <dialog ref={box} class="help" onClose={close} aria-label="Keyboard shortcuts">
            <header>
                <h2>Keyboard</h2>
                <button type="button" class="btn small" onClick={() => box.current?.close()}>
                    Close
                </button>
            </header>
            <div class="help-cols">
                {[...groups].map(([name, list]) => (
                    <section key={name}>
                        <h3>{name}</h3>
                        <dl>
                            {list.map((b) => [
                                <dt key={b.keys}>
                                    {b.keys.split(', ').map((k) => (
                                        <kbd key={k}>{k}</kbd>
                                    ))}
                                </dt>,
                                <dd key={b.keys + 'd'}>{b.does}</dd>,
                            ])}
                        </dl>
                    </section>
                ))}
            </div>
            <p class="dim">
                NetScope {hello.value?.version ?? ''} · MIT · <a href="/assets/notices.txt">third-party licences</a>
            </p>
        </dialog>
    );
}
