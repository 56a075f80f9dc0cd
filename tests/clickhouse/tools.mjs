// What the tests of this folder share: where things are, programs and the statements of deploy/clickhouse.
// NETSCOPE_BIN: the folder of the programs; NETSCOPE_ROOT: the source tree.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

export const ROOT = path.resolve(process.env.NETSCOPE_ROOT ?? '../..');
export const BIN = path.resolve(process.env.NETSCOPE_BIN ?? path.join(ROOT, 'build/release/bin'));
const WAIT_MS = Number(process.env.NETSCOPE_WAIT_MS ?? 120000);

// Statements of a file, without comments. No text in them holds a semicolon.
export function statements(name) {
    return fs
        .readFileSync(path.join(ROOT, 'deploy/clickhouse', name), 'utf8')
        .replace(/--.*$/gm, '')
        .split(';')
        .map((text) => text.trim())
        .filter(Boolean);
}

// The text of queries.sql by its "-- name:" lines.
export function queries() {
    const text = fs.readFileSync(path.join(ROOT, 'deploy/clickhouse/queries.sql'), 'utf8');
    return Object.fromEntries(
        text.split(/^-- name: /m).slice(1).map((part) => {
            const end = part.indexOf('\n');
            return [part.slice(0, end).trim(), part.slice(end).replace(/--.*$/gm, '').replace(/;\s*$/, '')];
        }),
    );
}

// Without settings of whoever runs the tests.
export function cleanEnvironment() {
    return Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('NETSCOPE_')));
}

// The sensor must not block this process: the engine's threads and the mock cluster go on meanwhile.
export function runSensor(environment, ...args) {
    return new Promise((done, failed) => {
        const child = spawn(path.join(BIN, 'netscope-sensor'), args, {
            env: { ...cleanEnvironment(), ...environment },
            stdio: ['ignore', 'pipe', 'pipe'],
        });
        let text = '';
        child.stdout.on('data', (data) => (text += data));
        child.stderr.on('data', (data) => (text += data));
        child.on('exit', (code) => (code === 0 ? done(text) : failed(new Error(`sensor: exit ${code}: ${text}`))));
    });
}

export async function until(what, condition) {
    const end = Date.now() + WAIT_MS;
    let last;
    while (Date.now() < end) {
        last = await condition();
        if (last === true) {
            return;
        }
        await new Promise((done) => setTimeout(done, 200));
    }
    assert.fail(`not within ${WAIT_MS / 1000} s: ${what}; last: ${last}`);
}
