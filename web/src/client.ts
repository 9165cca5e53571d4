/** Asks the host: JSON answers, problems as errors, server-sent events that go on where they were. */
import { plain } from '../../host/text.ts';
import { Cell } from './cell.ts';

const TOKEN_KEY = 'ekho-token';
/** An answer that takes longer counts as none. */
const ANSWER_MS = 20_000;
/** The host gives a sign of life every 5 s. */
const SILENT_MS = 15_000;
const RETRY_MS = 1_000;

interface ProblemText {
  readonly detail?: string;
  readonly code?: string;
  readonly remedy?: string;
}

/** What the host says went wrong (RFC 9457). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly remedy: string | undefined;

  constructor(status: number, { detail, code, remedy }: ProblemText) {
    super(detail ?? `HTTP ${status}`);
    this.status = status;
    this.code = code ?? '';
    this.remedy = remedy;
  }
}

/** What the address brought, kept for this tab alone. */
export const token = new Cell<string | undefined>(takeToken());
// An open dashboard may be given an address with a token.
addEventListener('hashchange', () => token.set(takeToken()));

function takeToken(): string | undefined {
  const found = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (found !== undefined) {
    sessionStorage.setItem(TOKEN_KEY, found);
    history.replaceState(null, '', '#/');
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? undefined;
}

export function dropToken(): void {
  sessionStorage.removeItem(TOKEN_KEY);
  token.set(undefined);
}

function headers(): Record<string, string> {
  return token.value === undefined ? {} : { authorization: `Bearer ${token.value}` };
}

/** Of JSON: all text in it is shown to people sooner or later, and whoever makes a link gives it its name. */
function parse<T>(text: string): T {
  return JSON.parse(text, (_name, value) =>
    typeof value === 'string' ? value.split('\n').map(plain).join('\n') : value,
  );
}

/** A proxy, or something else that answers in the host's place, may say it in its own way. */
async function problemIn(response: Response): Promise<ProblemText> {
  try {
    return parse(await response.text());
  } catch {
    return {};
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(`/api/v1${path}`, { ...init, headers: { ...headers(), ...init.headers } });
  if (response.ok) return response;
  const problem = new Problem(response.status, await problemIn(response));
  // The token's host has ended: looking needs none.
  if (problem.status === 401) dropToken();
  throw problem;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(ANSWER_MS);
  const response = await send(path, { signal: signal ? AbortSignal.any([signal, limit]) : limit });
  return parse(await response.text());
}

export async function post<T>(path: string): Promise<T> {
  return parse(await (await send(path, { method: 'POST' })).text());
}

export interface Listener {
  event(name: string, data: unknown): void;
  /** Connected, or not any more. */
  state(isOpen: boolean): void;
}

/** Follows changes until the function that it returns is called; comes back after a break with what was missed. */
export function follow(query: string, listener: Listener): () => void {
  const ended = new AbortController();
  let last: string | undefined;
  const read = async (): Promise<void> => {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENT_MS);
    const response = await send(`/changes${query}`, {
      headers: { accept: 'text/event-stream', ...(last !== undefined && { 'last-event-id': last }) },
      signal: AbortSignal.any([ended.signal, silent.signal]),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    listener.state(true);
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      timer = setTimeout(() => silent.abort(), SILENT_MS);
      const parts = (text + value).split('\n\n');
      text = parts.pop()!;
      for (const part of parts) {
        const { id, event = 'message', data } = fieldsOf(part);
        if (id !== undefined) last = id;
        if (data !== undefined) listener.event(event, parse(data));
      }
    }
  };
  const run = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await read().catch(() => {});
      if (ended.signal.aborted) return;
      listener.state(false);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };
  void run();
  return () => ended.abort();
}

function fieldsOf(part: string): Record<string, string> {
  return Object.fromEntries(
    part.split('\n').map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
    }),
  );
}
