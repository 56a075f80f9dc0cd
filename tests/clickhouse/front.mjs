// ClickHouse's HTTP interface in front of the engine: DESCRIBE, INSERT of rows in the body, and SELECT as the body, as the
// collector asks. The engine of the test has no port of its own. `trouble` is what happens to the next INSERTs, in their
// order: 'down' (503), 'deaf' (it is carried out, and nobody hears of it), 'cut' (the request is not read). `mood` is what
// happens to every SELECT: 'well', 'down', 'deaf' (no answer ever), 'cut' (in the middle of the answer), 'words' (an error
// in the middle of it).
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const TOLD = ['insert_deduplication_token', 'deduplicate_blocks_in_dependent_materialized_views'];

export class Front {
    constructor(session, folder) {
        this.session = session;
        this.folder = folder;
        this.trouble = [];
        this.mood = 'well';
        this.inserts = []; // {token, bytes, fate}
        this.selects = []; // statements
        this.users = new Set();
        this.server = http.createServer((request, response) => this.serve(request, response));
    }

    listen() {
        return new Promise((done) => this.server.listen(0, '127.0.0.1', () => done(this.server.address().port)));
    }

    close() {
        this.server.closeAllConnections();
        this.server.close();
    }

    serve(request, response) {
        const pieces = [];
        request.on('data', (data) => pieces.push(data));
        request.on('end', () => this.answer(request, response, Buffer.concat(pieces)));
    }

    answer(request, response, body) {
        const parameters = new URL(request.url, 'http://front').searchParams;
        if (!parameters.has('query')) {
            this.select(request, response, parameters, String(body));
            return;
        }
        const query = parameters.get('query');
        const isInsert = query.startsWith('INSERT');
        const fate = isInsert ? (this.trouble.shift() ?? 'well') : 'well';
        this.users.add(Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString());
        if (isInsert) {
            const encoding = request.headers['content-encoding'];
            this.inserts.push({ token: parameters.get('insert_deduplication_token'), bytes: body.length, fate, encoding });
        }
        if (fate === 'cut') {
            request.socket.destroy();
            return;
        }
        if (fate === 'down') {
            response.writeHead(503).end('Code: 202. DB::Exception: Too many simultaneous queries.');
            return;
        }
        try {
            const text = String(this.session.query(isInsert ? this.withFile(query, parameters, body, request.headers['content-encoding']) : query));
            if (fate === 'deaf') {
                request.socket.destroy();
                return;
            }
            response.writeHead(200).end(text);
        } catch (error) {
            const code = /Code: (\d+)/.exec(error.message)?.[1] ?? '1';
            response.writeHead(code === '60' ? 404 : 400, { 'X-ClickHouse-Exception-Code': code }).end(error.message);
        }
    }

    // The settings of the address as those of the statement, the answer by way of a file: it is no text.
    select(request, response, parameters, query) {
        this.users.add(Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString());
        this.selects.push(query);
        if (this.mood === 'deaf') {
            return;
        }
        if (this.mood === 'down') {
            response.writeHead(503).end('Code: 202. DB::Exception: Too many simultaneous queries.');
            return;
        }
        try {
            const bytes = this.bytesOf(query, [...parameters].map(([name, value]) => `${name} = ${Number(value)}`).join(', '));
            response.writeHead(200);
            if (this.mood === 'well') {
                response.end(bytes);
                return;
            }
            response.write(bytes.subarray(0, bytes.length / 2));
            if (this.mood === 'words') {
                response.end('\nCode: 241. DB::Exception: Memory limit exceeded');
            } else {
                setTimeout(() => request.socket.destroy(), 50);
            }
        } catch (error) {
            const code = /Code: (\d+)/.exec(error.message)?.[1] ?? '1';
            response.writeHead(code === '60' ? 404 : 400, { 'X-ClickHouse-Exception-Code': code }).end(error.message);
        }
    }

    bytesOf(query, settings) {
        const file = path.join(this.folder, `answer-${this.selects.length}.bin`);
        const [, text, format] = /^(.*) FORMAT (\w+)$/s.exec(query);
        fs.writeFileSync(file, '');
        this.session.query(`INSERT INTO FUNCTION file('${file}', '${format}') ${text} SETTINGS ${settings}, engine_file_truncate_on_insert = 1`);
        const bytes = fs.readFileSync(file);
        fs.rmSync(file);
        return bytes;
    }

    // The body as a file; the settings of the address as those of the statement.
    withFile(query, parameters, body, encoding) {
        const file = path.join(this.folder, `rows-${this.inserts.length}.bin`);
        fs.writeFileSync(file, body);
        const settings = TOLD.map((name) => `${name} = '${parameters.get(name)}'`).join(', ');
        return query.replace(/ FORMAT RowBinary$/, ` FROM INFILE '${file}' COMPRESSION '${encoding ?? 'none'}' SETTINGS ${settings} FORMAT RowBinary`);
    }
}
