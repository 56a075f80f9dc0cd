/* Sums for a stacked chart: row k of the result is the sum of columns 0..k. A step where no column has a value is a gap;
 * a single missing value inside a known step adds nothing. */
export function stack(columns: (number | null)[][]): (number | null)[][] {
    const n = columns.length ? columns[0].length : 0;
    const out: (number | null)[][] = columns.map(() => new Array<number | null>(n).fill(null));
    for (let i = 0; i < n; i++) {
        let known = false;
        for (const column of columns) {
            if (column[i] !== null && column[i] !== undefined) {
                known = true;
                break;
            }
        }
        if (!known) {
            continue;
        }
        let sum = 0;
        for (let k = 0; k < columns.length; k++) {
            sum += columns[k][i] ?? 0;
            out[k][i] = sum;
        }
    }
    return out;
}

/* Runs of steps without a value between steps with one (and at the end): where a chart is hatched. */
export function gaps(total: (number | null)[], to_the_end = false): [number, number][] {
    const runs: [number, number][] = [];
    let last = -1;
    for (let i = 0; i < total.length; i++) {
        if (total[i] !== null) {
            if (last >= 0 && i - last > 1) {
                runs.push([last + 1, i - 1]);
            }
            last = i;
        }
    }
    if (to_the_end && last >= 0 && last < total.length - 1) {
        runs.push([last + 1, total.length - 1]);
    }
    return runs;
}
