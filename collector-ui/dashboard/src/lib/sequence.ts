/* What the samples of one TCP flow say of its course: bytes sent by each side over time, and what was sent again. Pure. */
export interface Sample {
    id: string;
    at_ms: number | null;
    direction: '>' | '<' | '';
    summary: string;
}

export interface Point {
    id: string;
    at_ms: number;
    end: number; /* behind its last byte, from the first sample of its side on */
    again: boolean; /* nothing of it was new */
}

export interface Course {
    client: Point[];
    server: Point[];
    from_ms: number;
    to_ms: number;
    top: number; /* bytes */
}

const TCP = /TCP \d+ > \d+ \[([^\]]*)\] seq=(\d{1,10})\b.* len=(\d+)/;

/* null: too few TCP samples to draw. */
export function sequence(samples: Sample[]): Course | null {
    const course: Course = { client: [], server: [], from_ms: Infinity, to_ms: -Infinity, top: 0 };
    const sides = { '>': { points: course.client, before: null as number | null, at: 0, most: 0 }, '<': { points: course.server, before: null as number | null, at: 0, most: 0 } };
    for (const s of samples.filter((p) => p.at_ms !== null && p.direction !== '').sort((a, b) => a.at_ms! - b.at_ms!)) {
        const found = TCP.exec(s.summary.slice(s.summary.lastIndexOf('TCP ')));
        if (!found) {
            continue;
        }
        const side = sides[s.direction as '>' | '<'];
        const seq = Number(found[2]);
        /* numbers go round at 2^32: only how far apart two neighbours are is certain */
        side.at += side.before === null ? 0 : (seq - side.before) | 0;
        side.before = seq;
        const length = Number(found[3]) + (/SYN|FIN/.test(found[1]) ? 1 : 0);
        const end = side.at + length;
        side.points.push({ id: s.id, at_ms: s.at_ms!, end, again: length > 0 && side.points.length > 0 && end <= side.most });
        side.most = Math.max(side.most, end);
        course.from_ms = Math.min(course.from_ms, s.at_ms!);
        course.to_ms = Math.max(course.to_ms, s.at_ms!);
        course.top = Math.max(course.top, end);
    }
    return course.client.length + course.server.length >= 3 && course.to_ms > course.from_ms && course.top > 0 ? course : null;
}
