/** Errors as they travel: RFC 9457 problem documents, told apart by `code`. */
import type { Socket } from 'node:net';
import { EkhoError, ERROR_CODES, type ErrorCode } from '../errors.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly remedy?: string;
  readonly operation?: string;
  readonly kernel?: string;
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  E_USAGE: 400,
  E_BAD_ADDRESS: 400,
  E_CONFIG: 400,
  E_UNKNOWN_KIND: 404,
  E_UNKNOWN_OBJECT: 404,
  E_DEVICE: 404,
  E_DENIED: 403,
  E_EXISTS: 409,
  E_PLUGIN_DOWN: 409,
  E_BUSY: 503,
  E_TIMEOUT: 504,
};

export function problemOf(error: unknown): Problem {
  const known = asEkhoError(error);
  return {
    type: 'about:blank',
    title: ERROR_CODES[known.code],
    status: statusOf(known.code, error),
    detail: known.message,
    code: known.code,
    ...(known.remedy && { remedy: known.remedy }),
    ...(known.operation && { operation: known.operation }),
    ...(known.kernel && { kernel: known.kernel }),
  };
}

/** What the HTTP library, or who threw it, says of a request that is refused (413, 414, 429 …); else what the code stands for. */
function statusOf(code: ErrorCode, error: unknown): number {
  const { statusCode } = error as { statusCode?: number };
  const isRefused = statusCode !== undefined && statusCode >= 400 && statusCode < 500;
  return isRefused ? statusCode : (STATUS[code] ?? 500);
}

/** Answers what is no HTTP request, or too long a one, on the connection itself, and closes it. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, title, message] = CONNECTION_FAULTS[error.code ?? ''] ?? NOT_HTTP;
  const refused = Object.assign(new EkhoError('E_USAGE', message), { statusCode: status });
  const body = JSON.stringify(problemOf(refused));
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

type ConnectionFault = readonly [status: number, title: string, detail: string];

const NOT_HTTP: ConnectionFault = [400, 'Bad Request', 'this is not an HTTP request'];

/** By the code of Node's HTTP parser. */
const CONNECTION_FAULTS: Readonly<Record<string, ConnectionFault>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'the request’s path and headers are too long',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'the request did not arrive in time'],
};

/** The error a problem document stands for; undefined if the value is none. */
export function errorOf(value: unknown): EkhoError | undefined {
  const problem = value as Partial<Problem> | null;
  if (typeof problem?.detail !== 'string' || !Object.hasOwn(ERROR_CODES, problem.code ?? ''))
    return undefined;
  const { remedy, operation, kernel } = problem;
  return new EkhoError(problem.code!, problem.detail, {
    ...(remedy && { remedy }),
    ...(operation && { operation }),
    ...(kernel && { kernel }),
  });
}

function asEkhoError(error: unknown): EkhoError {
  if (error instanceof EkhoError) return error;
  const { validation, statusCode, message } = error as {
    validation?: unknown;
    statusCode?: number;
    message?: string;
  };
  if (validation !== undefined || (statusCode !== undefined && statusCode < 500)) {
    return new EkhoError('E_USAGE', message ?? 'The request is not understood.');
  }
  return new EkhoError('E_INTERNAL', message ?? String(error), { cause: error });
}
