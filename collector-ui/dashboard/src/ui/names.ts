/* Names in drawings: how wide they will be, and shortened in the middle to what there is room for. */

let pen: CanvasRenderingContext2D | null = null;

/* Width of a name as it will be drawn (style .ribbon-name). */
export function wide(text: string): number {
    if (!pen) {
        pen = document.createElement('canvas').getContext('2d')!;
        pen.font = `500 11.5px ${getComputedStyle(document.body).fontFamily}`;
    }
    return pen.measureText(text.replace(/[0-9]/g, '0')).width; /* digits are all as wide as the widest */
}

export function shorten(text: string, room: number): string {
    let shown = text;
    for (let characters = text.length - 1; characters > 4 && wide(shown) > room; characters--) {
        const head = Math.ceil((characters - 1) * 0.55);
        shown = `${text.slice(0, head)}…${text.slice(text.length - (characters - 1 - head))}`;
    }
    return shown;
}
