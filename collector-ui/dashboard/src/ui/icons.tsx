/* Line icons, 24 px box, drawn with the text's colour. */
const PATHS: Record<string, string> = {
    overview: 'M3 12h4l3-8 4 16 3-8h4',
    sensors: 'M12 13a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2zM12 13v8M8.5 15a5 5 0 1 1 7 0M5.6 18a9 9 0 1 1 12.8 0',
    flows: 'M4 8h13M14 4l4 4-4 4M20 16H7M10 12l-4 4 4 4',
    hosts: 'M4 4.5h16v6H4zM4 13.5h16v6H4zM7.5 7.5h.1M7.5 16.5h.1M11 7.5h6M11 16.5h6',
    system: 'M5 6h14v12H5zM9 18v2.5M15 18v2.5M9 3.5V6M15 3.5V6M5 10H2.5M5 14H2.5M21.5 10H19M21.5 14H19M9.5 10h5v4h-5z',
    more: 'M5 12h.1M12 12h.1M19 12h.1',
    alerts: 'M12 4 2.8 20h18.4zM12 10v4.5M12 17.4v.2',
    packets: 'M4 5h12M4 10h16M4 15h9M4 20h14',
    map: 'M6 8.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM18 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 20.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8.4 6.4l7.1 1.2M6.6 8.4l1.8 7.2M16.3 9.8l-5.5 6.5',
    search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.3 15.3 21 21',
    clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5.2l3.4 2',
    pause: 'M9 5v14M15 5v14',
    play: 'M8 5l11 7-11 7z',
    sun: 'M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM12 2v2M12 20v2M2 12h2M20 12h2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M19.1 4.9l-1.4 1.4M6.3 17.7l-1.4 1.4',
    close: 'M6 6l12 12M18 6 6 18',
    user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20.5a7.5 7.5 0 0 1 15 0',
    tick: 'M4 12.5 9.5 18 20 6.5',
    table: 'M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14',
};

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
    return (
        <svg viewBox="0 0 24 24" width={size} height={size} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
            <path d={PATHS[name] ?? ''} />
        </svg>
    );
}

export function Mark() {
    return (
        <svg viewBox="0 0 32 24" width="26" height="20" fill="none" stroke-width="3.2" stroke-linecap="round" aria-hidden="true">
            <path d="M3 17c4.5 0 4.5-10 9-10s4.5 10 9 10 4-7 8-8" stroke="var(--c1)" />
            <path d="M3 9c4.5 0 4.5 9 9 9s4.5-12 9-12 4 9 8 9" stroke="var(--c2)" />
        </svg>
    );
}

/* Severity is always colour, shape and word: diamond, triangle, square, ring. */
export function Severity({ level, word = false }: { level: string; word?: boolean }) {
    const shape =
        level === 'critical' ? (
            <path d="M7 .5 13.5 7 7 13.5.5 7z" fill="currentColor" />
        ) : level === 'high' ? (
            <path d="M7 1.5 13.3 12.5H.7z" fill="currentColor" />
        ) : level === 'medium' ? (
            <path d="M2 2h10v10H2z" fill="currentColor" />
        ) : level === 'ok' ? (
            <path d="M2 7.5 5.5 11 12 3.5" fill="none" stroke="currentColor" stroke-width="1.8" />
        ) : (
            <circle cx="7" cy="7" r="4.6" fill="none" stroke="currentColor" stroke-width="1.8" />
        );
    return (
        <span class={`sev sev-${level}`}>
            <svg viewBox="0 0 14 14" width="12" height="12" role="img" aria-label={word ? undefined : level} aria-hidden={word ? 'true' : undefined}>
                {shape}
            </svg>
            {word && <span>{level}</span>}
        </span>
    );
}
