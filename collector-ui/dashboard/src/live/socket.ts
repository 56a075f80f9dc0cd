/* One connection to /v1/live: hello, dictionary, frames, clock, acknowledgements, and coming back after a loss.
 * It knows no page: what it learns goes to `handlers`, what a page wants is told by subscribe(). */
import { ClockOffset } from '../lib/clock_offset';
import { Reconnect } from '../lib/reconnect';
import { is_silent } from '../lib/silence';
import { decode, type Dict, type Frame, type Hello } from './messages';

export interface Topics {
    totals?: object;
    by?: { dim: string; top: number };
    sensors?: object;
    flows?: { top: number; sort: string; filter?: string };
    alerts?: object;
}

export interface Handlers {
    open(): void;
    lost(): void;
    /* The connection stands, and nothing has come since (page time); null: it comes again. */
    silent(since_ms: number | null): void;
    hello(hello: Hello): void;
    dict(dict: Dict): void;
    frame(frame: Frame, received_ms: number): void;
    resync(reason: string): void;
    refused(code: string, text: string, pos: number | null): void;
}

export const SUBPROTOCOL = 'live.v1.json';
const ACK_EVERY_MS = 1000;
const SILENCE_MS = 15_000; /* a connection without a message for this long is taken for dead */

export const now_ms = () => performance.timeOrigin + performance.now();

export class Live {
    readonly clock = new ClockOffset();
    readonly counters = { frames: 0, missed: 0, rejected: 0, unknown: 0, bytes: 0, merged: 0 };
    last_rejected = '';
    seq = 0;
    private socket: WebSocket | null = null;
    private is_open = false;
    private acked = 0;
    private sub_id = 0;
    private ping_id = 0;
    private pings = 0;
    private last_message_ms = 0;
    private is_silent = false;
    private retry_hint_ms = 0;
    private wanted: { topics: Topics; rate_hz: number } | null = null;
    private timers: number[] = [];
    readonly reconnect: Reconnect;

    constructor(
        private readonly url: string,
        private readonly handlers: Handlers,
    ) {
        this.reconnect = new Reconnect(
            () => this.connect(),
            () => Date.now(),
            (f, ms) => window.setTimeout(f, ms),
            (timer) => window.clearTimeout(timer as number),
        );
    }

    start(): void {
        window.addEventListener('online', () => this.reconnect.hurry());
        document.addEventListener('visibilitychange', () => {
            if (!document.hidden) {
                this.reconnect.hurry();
            }
        });
        this.connect();
    }

    subscribe(topics: Topics, rate_hz: number): void {
        this.wanted = { topics, rate_hz };
        if (this.is_open) {
            this.send({ t: 'sub', id: ++this.sub_id, rate_hz, topics });
        }
    }

    private send(message: object): void {
        if (this.socket?.readyState === WebSocket.OPEN) {
            this.socket.send(JSON.stringify(message));
        }
    }

    private connect(): void {
        this.stop_timers();
        let socket: WebSocket;
        try {
            socket = new WebSocket(this.url, SUBPROTOCOL);
        } catch {
            this.reconnect.lost();
            this.handlers.lost();
            return;
        }
        this.socket = socket;
        socket.onopen = () => this.opened();
        socket.onmessage = (event) => this.received(event.data);
        socket.onclose = () => {
            if (this.socket === socket) {
                this.closed();
            }
        };
    }

    private opened(): void {
        this.is_open = true;
        this.seq = 0;
        this.acked = 0;
        this.last_message_ms = now_ms();
        this.is_silent = false;
        this.retry_hint_ms = 0;
        this.clock.reset();
        this.pings = 0;
        this.timers = [window.setInterval(() => this.every_second(), ACK_EVERY_MS)];
        /* the first pings meet a page that is still being built: three more soon after */
        for (const ms of [0, 300, 700, 1300]) {
            this.timers.push(window.setTimeout(() => this.ping(), ms));
        }
        if (this.wanted) {
            this.subscribe(this.wanted.topics, this.wanted.rate_hz);
        }
        this.handlers.open();
    }

    /* Not waiting for the other side, which may hang: somebody asked for it, or nothing has come for too long. */
    reopen(): void {
        const socket = this.socket;
        if (socket !== null) {
            socket.onclose = socket.onmessage = null;
            socket.close();
            this.closed();
        }
        this.reconnect.hurry();
    }

    private closed(): void {
        this.is_open = false;
        this.socket = null;
        this.stop_timers();
        this.reconnect.lost(this.retry_hint_ms);
        this.handlers.lost();
    }

    private stop_timers(): void {
        this.timers.forEach((t) => window.clearInterval(t));
        this.timers = [];
    }

    private every_second(): void {
        if (this.seq !== this.acked) {
            this.acked = this.seq;
            this.send({ t: 'ack', seq: this.seq });
        }
        this.pings++;
        if (this.pings <= 16 ? this.pings % 2 === 0 : this.pings % 30 === 0) {
            this.ping();
        }
        if (now_ms() - this.last_message_ms > SILENCE_MS + 30_000 * Number(this.pings > 16)) {
            this.reopen();
            return;
        }
        if (!this.is_silent && is_silent(now_ms(), this.last_message_ms, this.wanted?.rate_hz ?? null)) {
            this.is_silent = true;
            this.handlers.silent(this.last_message_ms);
        }
    }

    private ping(): void {
        this.send({ t: 'ping', id: ++this.ping_id, c: now_ms() });
    }

    private received(data: unknown): void {
        const received_ms = now_ms();
        this.last_message_ms = received_ms;
        if (this.is_silent) {
            this.is_silent = false;
            this.handlers.silent(null);
        }
        if (typeof data !== 'string') {
            this.counters.rejected++;
            return;
        }
        this.counters.bytes += data.length;
        const result = decode(data);
        if (!result.ok) {
            this.counters.rejected++;
            this.last_rejected = result.why;
            return;
        }
        const m = result.message;
        switch (m.t) {
            case 'hello':
                this.reconnect.succeeded();
                this.handlers.hello(m.hello);
                break;
            case 'dict':
                this.handlers.dict(m.dict);
                break;
            case 'frame':
                this.take_frame(m.frame, received_ms);
                break;
            case 'resync':
                this.handlers.resync(m.reason);
                break;
            case 'pong':
                this.clock.add(m.c, m.r, m.s, received_ms);
                break;
            case 'err':
                this.handlers.refused(m.code, m.msg, m.pos);
                break;
            case 'bye':
                this.retry_hint_ms = Math.min(60_000, Math.max(0, m.retry_ms ?? 0));
                break;
            default:
                this.counters.unknown++;
        }
    }

    private take_frame(frame: Frame, received_ms: number): void {
        this.counters.frames++;
        this.counters.merged += frame.merged - 1;
        /* a smaller number: a new subscription began to count from 1 */
        const skipped = this.seq > 0 && frame.seq > this.seq + 1 ? frame.seq - this.seq - 1 : 0;
        this.seq = frame.seq;
        if (skipped > 0) {
            this.counters.missed += skipped;
            this.handlers.resync('lag');
        }
        this.handlers.frame(frame, received_ms);
    }
}
