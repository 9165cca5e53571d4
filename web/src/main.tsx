/** The dashboard. */
import { render } from 'preact';
import './style.css';
import './theme.ts';
import { App } from './app.tsx';
import { start } from './live.ts';

start();
render(<App />, document.getElementById('app')!);
