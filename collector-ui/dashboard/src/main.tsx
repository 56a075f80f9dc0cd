import { render } from 'preact';
import { App } from './app';
import { start_keys } from './keys';
import { start } from './live/store';

start();
start_keys();
render(<App />, document.getElementById('app')!);
