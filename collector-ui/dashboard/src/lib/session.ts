/* Who is logged in, as /v1/session says it (docs/access.md). Pure. */
export interface Session {
    user: string; /* '': nobody */
    role: string; /* '': of rights that are no role's */
    rights: string[];
    by: string; /* session, token or password */
    login: boolean; /* whether there is one here */
}

export function read_session(b: Record<string, unknown>): Session {
    const text = (v: unknown) => (typeof v === 'string' ? v : '');
    return { user: text(b.user), role: text(b.role), rights: Array.isArray(b.rights) ? b.rights.map(text) : [], by: text(b.by), login: b.login === true };
}

export const needs_login = (s: Session | null) => s !== null && s.login && s.user === '';

const LEAST: Record<string, string> = { flows: 'viewer', packets: 'operator', triage: 'operator', config: 'admin' };

/* Why somebody who is logged in may not, for a control that is not there; '': they may. */
export function why_not(s: Session | null, right: string, what: string): string {
    if (s === null || s.user === '' || s.rights.includes(right)) {
        return '';
    }
    return `${what} the role ${LEAST[right] ?? 'admin'}${s.role ? `; you are ${s.role}` : ''}.`;
}
