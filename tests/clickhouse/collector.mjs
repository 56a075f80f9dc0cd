// A collector of a test: started, asked and stopped without blocking, since its requests to the engine are answered here.
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { BIN, cleanEnvironment, until } from './tools.mjs';

export function freePort() {
    return new Promise((done) => {
        const probe = net.createServer().listen(0, '127.0.0.1', () => {
            const { port } = probe.address();
            probe.close(() => done(port));
        });
    });
}

export class Collector {
    // `settings` without their NETSCOPE_COLLECTOR_.
    constructor(folder, ports, settings) {
        this.folder = folder;
        this.ports = ports;
        this.settings = settings;
        this.text = '';
    }

    async start() {
        const child = spawn(
            path.join(BIN, 'netscope-collector'),
            ['--port', String(this.ports.http), '--ingest-listen', `127.0.0.1:${this.ports.ingest}`, '--data-dir', path.join(this.folder, 'store')],
            {
                env: {
                    ...cleanEnvironment(),
                    ...Object.fromEntries(Object.entries(this.settings).map(([key, value]) => [`NETSCOPE_COLLECTOR_${key}`, value])),
                },
                stdio: ['ignore', 'ignore', 'pipe'],
            },
        );
        child.stderr.on('data', (data) => (this.text += data));
        this.child = child;
        this.gone = new Promise((done) => child.on('exit', (code) => done(code)));
        await until('the collector answers', async () => (await this.page('/healthz')) !== '' || this.text);
    }

    stop() {
        this.child.kill('SIGTERM');
        return this.gone;
    }

    kill() {
        this.child?.kill('SIGKILL');
        return this.gone;
    }

    // '' where nobody answers, or not well.
    page(name) {
        return new Promise((done) => {
            http.get({ host: '127.0.0.1', port: this.ports.http, path: name, agent: false }, (answer) => {
                let text = '';
                answer.on('data', (data) => (text += data));
                answer.on('end', () => {
                    if (answer.statusCode !== 200) {
                        this.text += `${name}: ${answer.statusCode} ${text}\n`;
                    }
                    done(answer.statusCode === 200 ? text : '');
                });
                answer.on('error', () => done(''));
            }).on('error', () => done(''));
        });
    }

    async metric(name) {
        const line = (await this.page('/metrics')).split('\n').find((text) => text.startsWith(`netscope_collector_${name} `));
        return line === undefined ? undefined : Number(line.split(' ').pop());
    }
}
