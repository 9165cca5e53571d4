/** Pages by the address behind `#`: `#/objects?kind=route&q=…`. */
import { Cell } from './cell.ts';

export interface Address {
  readonly page: string;
  readonly query: URLSearchParams;
}

function read(): Address {
  const [page = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { page: page || 'overview', query: new URLSearchParams(query) };
}

export const address = new Cell<Address>(read());
addEventListener('hashchange', () => address.set(read()));

export function href(page: string, query: Record<string, string> = {}): string {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''));
  return `#/${page}${words.size > 0 ? `?${words}` : ''}`;
}

/** Changes the address without a new entry in the browser's history. */
export function replace(page: string, query: Record<string, string>): void {
  history.replaceState(null, '', href(page, query));
  address.set(read());
}
