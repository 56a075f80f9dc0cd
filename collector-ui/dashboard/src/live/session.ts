/* The login of this page. Asked before anything else: where there is one and nobody has it, there is nothing but its page. */
import { signal } from '@preact/signals';
import { needs_login, read_session, type Session } from '../lib/session';
import { get, post, unauthenticated } from './rest';

export const session = signal<Session | null>(null); /* null: not known */

const ASK_MS = 4000;

/* A collector that does not answer is told by the page itself; one that knows of no sessions has no login. */
export async function load_session(): Promise<void> {
    try {
        session.value = read_session(await get('/v1/session', {}, AbortSignal.timeout(ASK_MS)));
    } catch {
        /* as before */
    }
}

export async function log_in(user: string, password: string): Promise<void> {
    session.value = read_session(await post('/v1/session:login', { user, password }));
}

/* All of the page goes with it. */
export async function log_out(): Promise<void> {
    await post('/v1/session:logout', {});
    location.reload();
}

let is_looking = false;

/* Something was refused, or the feed has ended: is the login over? */
export async function look_again(): Promise<void> {
    if (is_looking || session.value === null || session.value.user === '') {
        return;
    }
    is_looking = true;
    await load_session();
    is_looking = false;
    if (needs_login(session.value)) {
        location.reload(); /* the address holds what was looked at */
    }
}

unauthenticated.subscribe((times) => {
    if (times > 0) {
        void look_again();
    }
});
