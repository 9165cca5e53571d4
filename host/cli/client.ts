/** Talks to the running host over its unix socket. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { errorOf } from '../api/problem.ts';
import { EkhoError } from '../errors.ts';

/** Bytes of an answer that is read whole. Longer answers are streamed. */
const ANSWER_MAX = 64 * 1024 * 1024;

export class Client {
  readonly socket: string;

  constructor(socket: string) {
    this.socket = socket;
  }

  /** A whole answer. Throws the error the host reports, or E_NO_HOST, E_SOCKET_ACCESS. */
  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#whole<T>('GET', path, undefined, signal);
  }

  async post<T>(path: string, body: unknown = {}, signal?: AbortSignal): Promise<T> {
    return this.#whole<T>('POST', path, body, signal);
  }

  async put<T>(path: string, body: unknown): Promise<T> {
    return this.#whole<T>('PUT', path, body);
  }

  async delete<T>(path: string): Promise<T> {
    return this.#whole<T>('DELETE', path, undefined);
  }

  /** An answer of one JSON value a line. */
  async *lines<T>(path: string): AsyncGenerator<T> {
    const response = await this.open(path, 'application/x-ndjson');
    try {
      for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
        if (line !== '') yield JSON.parse(line) as T;
      }
      if (!response.complete) throw this.#cut();
    } catch (error) {
      throw error instanceof EkhoError ? error : this.#failure(error);
    } finally {
      response.destroy();
    }
  }

  /** The answer as it comes, for passing on. */
  async open(path: string, accept: string): Promise<IncomingMessage> {
    const response = await this.#send('GET', path, undefined, accept);
    if (response.statusCode! < 400) return response;
    throw this.#refusal(response, await read(response));
  }

  async #whole<T>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.#send(method, path, body, 'application/json', signal);
    const text = await read(response).catch((error) => {
      throw error instanceof EkhoError ? error : this.#failure(error);
    });
    if (response.statusCode! >= 400) throw this.#refusal(response, text);
    return JSON.parse(text) as T;
  }

  #send(
    method: string,
    path: string,
    body: unknown,
    accept: string,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: this.socket,
        path,
        method,
        headers: { host: 'localhost', accept, ...(payload && { 'content-type': 'application/json' }) },
        ...(signal && { signal }),
      });
      outgoing.on('response', resolve);
      outgoing.on('error', (error) => reject(this.#failure(error)));
      outgoing.end(payload);
    });
  }

  #refusal(response: IncomingMessage, text: string): EkhoError {
    let problem: unknown;
    try {
      problem = JSON.parse(text);
    } catch {
      // Not ours: told below.
    }
    return (
      errorOf(problem) ??
      new EkhoError(
        'E_NO_HOST',
        `what answers on ${this.socket} is not an ekho host (HTTP ${response.statusCode})`,
        {
          remedy: 'Name the host’s socket with --socket or EKHO_SOCKET.',
        },
      )
    );
  }

  #cut(): EkhoError {
    return new EkhoError('E_NO_HOST', `the host on ${this.socket} ended in the middle of its answer`);
  }

  #failure(error: unknown): unknown {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
        return new EkhoError('E_NO_HOST', `no host answers on ${this.socket}`, {
          remedy:
            'Start one with `ekho run` or `npm start`; if its socket is elsewhere, use --socket or EKHO_SOCKET.',
          cause: error,
        });
      case 'EACCES':
      case 'EPERM':
        return new EkhoError('E_SOCKET_ACCESS', `you may not use ${this.socket}`, {
          remedy: 'Run the command as the user who runs the host.',
          cause: error,
        });
      case 'ENOTSOCK':
        return new EkhoError('E_NO_HOST', `${this.socket} is not a socket`, {
          remedy: 'Name the host’s socket with --socket or EKHO_SOCKET.',
          cause: error,
        });
      case 'ECONNRESET':
      case 'EPIPE':
        return this.#cut();
      default:
        return error;
    }
  }
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > ANSWER_MAX) throw new EkhoError('E_INTERNAL', 'the host’s answer is too long');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}
