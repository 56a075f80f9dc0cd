import { render } from 'preact';
import { App } from './app';
import { start_keys } from './keys';
import { needs_login } from './lib/session';
import { load_session, session } from './live/session';
import { start } from './live/store';
import { Login } from './pages/login';

const root = document.getElementById('app')!;

function show(): void {
    if (needs_login(session.value)) {
        render(<Login done={show} />, root);
        return;
    }
    start();
    start_keys();
    render(<App />, root);
}

void load_session().then(show);
