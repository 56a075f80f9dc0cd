/* Sequence over time of the flow whose packets are listed: a slope is a rate, a step back is loss. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { bytes, ms, plural } from '../../lib/format';
import { sequence, type Point, type Sample } from '../../lib/sequence';
import { Dot } from '../../ui/parts';

const HEIGHT = 132;
const PAD = 8;

export function SequencePlot({ samples, selected, choose }: { samples: Sample[]; selected: string; choose: (id: string) => void }) {
    const box = useRef<HTMLDivElement>(null);
    const [width, set_width] = useState(0);
    const course = sequence(samples);
    useEffect(() => {
        if (!box.current) {
            return undefined;
        }
        const observer = new ResizeObserver(() => set_width(box.current?.clientWidth ?? 0));
        observer.observe(box.current);
        return () => observer.disconnect();
    }, [course === null]);
    if (course === null) {
        return null;
    }
    const x = (p: Point) => PAD + ((p.at_ms - course.from_ms) / (course.to_ms - course.from_ms)) * Math.max(1, width - 2 * PAD);
    const y = (p: Point) => HEIGHT - PAD - (Math.max(0, p.end) / course.top) * (HEIGHT - 2 * PAD);
    const all: [Point, number][] = [...course.client.map((p): [Point, number] => [p, 1]), ...course.server.map((p): [Point, number] => [p, 3])];
    const again = all.filter(([p]) => p.again).length;
    const line = (points: Point[]) => points.map((p, i) => `${i ? 'L' : 'M'}${x(p).toFixed(1)} ${y(p).toFixed(1)}`).join('');
    return (
        <section class="seq" aria-label="Sequence over time">
            <header class="ph">
                <h2>Sequence over time</h2>
                <span class="sub">
                    slope = rate, step back = sent again{again > 0 && `: ${again}`} · {plural(all.length, 'sample')}
                </span>
                <span class="keys-inout hide-m">
                    <Dot slot={1} /> client <Dot slot={3} /> server
                </span>
            </header>
            <div class="seq-draw" ref={box}>
                {width > 0 && (
                    <svg width={width} height={HEIGHT} role="img" aria-label={`Bytes of each side over ${ms(course.to_ms - course.from_ms)}: at most ${bytes(course.top)}, ${plural(again, 'sample')} of data sent again. The list has all packets.`}>
                        <path class="seq-line s1" d={line(course.client)} />
                        <path class="seq-line s3" d={line(course.server)} />
                        {all.map(([p, slot]) => (
                            <circle key={p.id} cx={x(p)} cy={y(p)} r={p.id === selected ? 5 : p.again ? 4 : 2.5} class={`seq-point ${p.again ? 'again' : `f${slot}`} ${p.id === selected ? 'on' : ''}`} onClick={() => choose(p.id)}>
                                <title>{`${ms(p.at_ms - course.from_ms)}, ${bytes(Math.max(0, p.end))}${p.again ? ', sent again' : ''}`}</title>
                            </circle>
                        ))}
                    </svg>
                )}
            </div>
            <div class="histo-axis">
                <span>0</span>
                <span>
                    {bytes(course.top)} in {ms(course.to_ms - course.from_ms)}
                </span>
            </div>
        </section>
    );
}
