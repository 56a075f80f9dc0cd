/* Who may ask the fake collector: options.users is {name: {password, role}}, none: there is no login. The cookie is the name itself. */
const RIGHTS = { viewer: ['flows'], operator: ['flows', 'packets', 'triage'], admin: ['flows', 'packets', 'triage', 'config'] };

const json = (status, body, headers = {}) => ({ status, headers, type: status < 400 ? 'application/json' : 'application/problem+json', body: JSON.stringify(body) });

export function fake_access(users, clients) {
    const sessions = new Set(); /* names that are logged in */
    const who = (request) => {
        const name = /netscope_session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
        return users && sessions.has(name) ? name : '';
    };
    const rights = (request) => (users ? (RIGHTS[users[who(request)]?.role] ?? []) : RIGHTS.operator);
    const may = (request, right) => rights(request).includes(right);
    const session = (name) => ({ user: name, role: users?.[name]?.role ?? '', rights: users ? (RIGHTS[users[name]?.role] ?? []) : RIGHTS.operator, by: name ? 'session' : '', login: users !== undefined });

    function log_in(text, reply) {
        const { user, password } = JSON.parse(text);
        if (users?.[user]?.password === 'locked') {
            reply(json(429, { status: 429, reason: 'TOO_MANY_LOGINS', detail: 'too many logins have failed from this address or for this user; wait' }));
        } else if (users?.[user]?.password !== password) {
            reply(json(401, { status: 401, reason: 'WRONG_LOGIN', detail: 'no such user, or another password' }));
        } else {
            sessions.add(user);
            reply(json(200, session(user), { 'set-cookie': `netscope_session=${user}; HttpOnly; SameSite=Strict; Path=/` }));
        }
    }

    /* Ends a session as a change of the user does. */
    function end(name) {
        sessions.delete(name);
        for (const client of clients()) {
            client.socket.destroy();
        }
    }

    /* True: answered. */
    function answer(request, path, reply) {
        if (path === '/v1/session') {
            reply(json(200, session(who(request))));
        } else if (path === '/v1/session:login') {
            let text = '';
            request.on('data', (part) => (text += part));
            request.on('end', () => log_in(text, reply));
        } else if (path === '/v1/session:logout') {
            end(who(request));
            reply(json(200, { ok: true }, { 'set-cookie': 'netscope_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0' }));
        } else if (path.startsWith('/v1/') && users && who(request) === '') {
            reply(json(401, { status: 401, reason: 'UNAUTHENTICATED', detail: 'Log in or send a token.' }));
        } else if ((path.startsWith('/v1/packets') && !may(request, 'packets')) || (request.method === 'POST' && !may(request, 'triage'))) {
            reply(json(403, { status: 403, reason: 'PERMISSION_DENIED', detail: 'this needs another role' }));
        } else {
            return false;
        }
        return true;
    }
    return { who, may, answer, end };
}
