// The cases of foreign.py by @grpc/grpc-js: reads {address, token, protos, cases} from stdin, prints one result a line.
'use strict';
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const files = input.services.map((name) => `netscope/v1/${name}_service.proto`);
const options = { keepCase: true, longs: String, enums: String, defaults: false, oneofs: true, includeDirs: [input.protos] };
const api = grpc.loadPackageDefinition(loader.loadSync(files, options)).netscope.v1;
const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith('/') ? target : `${input.protos}/${target}`);
root.loadSync(['google/rpc/status.proto', 'google/rpc/error_details.proto']);

// Status, and what google.rpc says beside it.
function result_of(error, messages) {
    const found = { code: grpc.status[error === null ? 0 : error.code], reason: '', field: '', retry: '', messages };
    const details = error === null || !error.metadata ? [] : error.metadata.get('grpc-status-details-bin');
    for (const one of details.length > 0 ? root.lookupType('google.rpc.Status').decode(details[0]).details : []) {
        const type = one.type_url.split('/')[1];
        const message = root.lookupType(type).decode(one.value);
        if (type === 'google.rpc.ErrorInfo') {
            found.reason = message.reason;
        } else if (type === 'google.rpc.BadRequest') {
            found.field = message.fieldViolations[0].field;
        } else if (type === 'google.rpc.RetryInfo') {
            found.retry = String(message.retryDelay.seconds);
        }
    }
    return found;
}

function kinds_of(message) {
    return Object.keys(message).filter((key) => message[key] !== null && typeof message[key] === 'object');
}

function run(one) {
    return new Promise((resolve) => {
        const credentials = grpc.credentials.createInsecure();
        const client = new api[one.service](one.address ?? input.address, credentials, { 'grpc.enable_http_proxy': 0 });
        const metadata = new grpc.Metadata();
        const token = one.token ?? input.token;
        if (token) {
            metadata.set('authorization', `Bearer ${token}`);
        }
        const deadline = { deadline: Date.now() + (one.deadline ?? 20) * 1000 };
        const done = (error, messages) => {
            client.close();
            resolve(result_of(error, messages));
        };
        if (!one.is_stream) {
            client[one.method](one.request, metadata, deadline, (error, answer) => done(error, error ? [] : kinds_of(answer)));
            return;
        }
        const messages = [];
        const call = client[one.method](one.request, metadata, deadline);
        let is_over = false;
        const end = (error) => {
            if (!is_over) {
                is_over = true;
                done(error, messages);
            }
        };
        call.on('data', (message) => {
            messages.push(...kinds_of(message).filter((kind) => !messages.includes(kind)));
            if (one.until && one.until.every((kind) => messages.includes(kind))) {
                call.cancel();
            }
        });
        call.on('error', end);
        call.on('end', () => end(null));
    });
}

(async () => {
    for (const one of input.cases) {
        process.stdout.write(JSON.stringify(await run(one)) + '\n');
    }
})();
