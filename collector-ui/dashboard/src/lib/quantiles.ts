/* Quantiles over the last `size` values: exact, small, sorted only when asked. */
export class Window {
    private values: number[] = [];
    private next = 0;

    constructor(private readonly size: number) {}

    add(value: number): void {
        if (this.values.length < this.size) {
            this.values.push(value);
        } else {
            this.values[this.next] = value;
            this.next = (this.next + 1) % this.size;
        }
    }

    get count(): number {
        return this.values.length;
    }

    clear(): void {
        this.values = [];
        this.next = 0;
    }

    quantiles(qs: number[]): (number | null)[] {
        if (this.values.length === 0) {
            return qs.map(() => null);
        }
        const sorted = [...this.values].sort((a, b) => a - b);
        return qs.map((q) => sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1 < 0 ? 0 : Math.ceil(q * sorted.length) - 1)]);
    }
}
