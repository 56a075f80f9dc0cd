/* A packet's bytes in rows of 16, and which field or layer a byte belongs to. Pure. */
export interface Range {
    offset: number;
    length: number;
}

export interface HexRow {
    offset: number;
    bytes: string[];
    text: string[];
}

export function hex_rows(data: Uint8Array): HexRow[] {
    const rows: HexRow[] = [];
    for (let offset = 0; offset < data.length; offset += 16) {
        const part = [...data.subarray(offset, offset + 16)];
        rows.push({
            offset,
            bytes: part.map((b) => b.toString(16).padStart(2, '0')),
            text: part.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : '·')),
        });
    }
    return rows;
}

const holds = (r: Range, at: number) => at >= r.offset && at < r.offset + r.length;

/* The most precise field over the byte; where fields are equal the first. */
export function smallest_field_at(layers: { fields: Range[] }[], at: number): Range | null {
    let best: Range | null = null;
    for (const layer of layers) {
        for (const f of layer.fields) {
            if (holds(f, at) && (best === null || f.length < best.length)) {
                best = f;
            }
        }
    }
    return best === null ? null : { offset: best.offset, length: best.length };
}

/* The innermost layer over the byte: of those that hold it the one that begins last. */
export function layer_at(layers: Range[], at: number): number | null {
    let best: number | null = null;
    layers.forEach((l, i) => {
        if (holds(l, at) && (best === null || l.offset >= layers[best].offset)) {
            best = i;
        }
    });
    return best;
}
