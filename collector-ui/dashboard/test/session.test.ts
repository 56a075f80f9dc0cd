import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs_login, read_session, why_not } from '../src/lib/session';

const viewer = read_session({ user: 'vera', role: 'viewer', rights: ['flows'], by: 'session', login: true });

test('a session is read as it is, and whatever else as nobody', () => {
    assert.deepEqual(viewer, { user: 'vera', role: 'viewer', rights: ['flows'], by: 'session', login: true });
    assert.deepEqual(read_session({ user: 7, rights: 'all', login: 'yes' }), { user: '', role: '', rights: [], by: '', login: false });
});

test('the login is asked for where there is one and nobody has it', () => {
    assert.equal(needs_login(null), false); /* a collector that knows of no sessions */
    assert.equal(needs_login(viewer), false);
    assert.equal(needs_login(read_session({ user: '', login: true })), true);
    assert.equal(needs_login(read_session({ user: '', login: false })), false);
});

test('what a role may not says which may', () => {
    assert.equal(why_not(viewer, 'flows', 'Reading needs'), '');
    assert.equal(why_not(viewer, 'triage', 'To acknowledge needs'), 'To acknowledge needs the role operator; you are viewer.');
    assert.equal(why_not({ ...viewer, role: '' }, 'config', 'To change settings needs'), 'To change settings needs the role admin.');
    assert.equal(why_not(read_session({ login: false }), 'triage', 'To acknowledge needs'), ''); /* where nobody logs in it is another matter */
});
