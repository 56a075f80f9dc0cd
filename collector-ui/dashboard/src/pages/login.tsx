/* The page of the login: all there is for whoever has not. */
import { useSignal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { safe } from '../lib/format';
import { log_in } from '../live/session';
import { Mark } from '../ui/icons';
import { problem_text } from '../ui/parts';

export function Login({ done }: { done: () => void }) {
    const user = useRef<HTMLInputElement>(null);
    const password = useRef<HTMLInputElement>(null);
    const state = useSignal<{ busy: boolean; error: unknown }>({ busy: false, error: null });
    useLayoutEffect(() => {
        document.title = 'Log in · NetScope';
        user.current?.focus();
    }, []);
    const submit = async () => {
        if (state.value.busy || !user.current || !password.current) {
            return;
        }
        state.value = { busy: true, error: null };
        try {
            await log_in(user.current.value, password.current.value);
            done();
        } catch (error) {
            state.value = { busy: false, error };
            password.current.value = '';
            password.current.focus();
        }
    };
    return (
        <main class="login">
            <form
                class="panel"
                aria-label="Log in"
                onSubmit={(e) => {
                    e.preventDefault();
                    void submit();
                }}
            >
                <h1>
                    <Mark /> NetScope
                </h1>
                <label>
                    Name
                    <input ref={user} name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required maxLength={127} />
                </label>
                <label>
                    Password
                    <input ref={password} name="password" type="password" autocomplete="current-password" required maxLength={511} />
                </label>
                <p class="fault-text" role="alert">
                    {state.value.error !== null && safe(problem_text(state.value.error).text)}
                </p>
                <button type="submit" class="btn primary" disabled={state.value.busy}>
                    {state.value.busy ? 'Looking …' : 'Log in'}
                </button>
            </form>
        </main>
    );
}
