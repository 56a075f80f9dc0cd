/* CSV as RFC 4180, safe to open in a spreadsheet: a cell that begins like a formula gets an apostrophe, since names in
 * it were chosen by strangers. Plain numbers (also negative ones) stay numbers. */

const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;

export function csv_cell(value: unknown): string {
    if (value === null || value === undefined) {
        return '';
    }
    let text = String(value);
    if (/^[\s]*[=+\-@]/.test(text) && !(typeof value === 'number' && NUMBER.test(text))) {
        text = `'${text}`;
    }
    return /[",\r\n\t]/.test(text) || /^\s|\s$/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export function csv_line(cells: unknown[]): string {
    return cells.map(csv_cell).join(',') + '\r\n';
}
