/** The rows of one search, by the page: those that are looked at, and some around them. */
import type { ObjectItem, ObjectsPage } from '../../host/api/schemas.ts';
import { Cell } from './cell.ts';
import { get } from './client.ts';

export const PAGE_ROWS = 100;
/** Pages that are kept; the one not looked at for longest goes first. */
const PAGES_MAX = 40;
/** Pages that are asked for at a time. */
const ASKED_MAX = 4;

export interface Search {
  readonly kind: string;
  readonly words: string;
  readonly state: string;
  readonly sort: string;
}

export interface List {
  /** Undefined: not known yet. */
  readonly total: number | undefined;
  readonly revision: number;
  readonly error: unknown;
  /** Grows whenever rows came. */
  readonly turn: number;
}

export class Source {
  readonly list = new Cell<List>({ total: undefined, revision: 0, error: undefined, turn: 0 });
  readonly #search: Search;
  #ended = new AbortController();
  #selection = '';
  #pages = new Map<number, readonly ObjectItem[]>();
  readonly #asked = new Set<number>();

  constructor(search: Search) {
    this.#search = search;
  }

  /** Makes the list, or makes it anew; the rows before stay until then. */
  async load(): Promise<void> {
    this.close();
    const ended = new AbortController();
    this.#ended = ended;
    try {
      const page = await this.#get(undefined, ended.signal);
      if (ended.signal.aborted) return;
      this.#selection = page.selection;
      this.#pages = new Map([[0, page.items]]);
      this.#asked.clear();
      this.#tell({ total: page.total, revision: page.revision, error: undefined });
    } catch (error) {
      if (!ended.signal.aborted) this.#tell({ total: this.list.value.total ?? 0, error });
    }
  }

  close(): void {
    this.#ended.abort();
  }

  /** Undefined while it is under way. */
  row(row: number): ObjectItem | undefined {
    const number = Math.floor(row / PAGE_ROWS);
    const page = this.#pages.get(number);
    if (page === undefined) {
      void this.#load(number);
      return undefined;
    }
    // The map's order is that of the last look.
    this.#pages.delete(number);
    this.#pages.set(number, page);
    return page[row % PAGE_ROWS];
  }

  async #load(number: number): Promise<void> {
    if (this.#asked.has(number) || this.#asked.size >= ASKED_MAX) return;
    this.#asked.add(number);
    const { signal } = this.#ended;
    try {
      const page = await this.#get(`${this.#selection}.${number * PAGE_ROWS}`, signal);
      if (signal.aborted) return;
      this.#selection = page.selection;
      this.#pages.set(number, page.items);
      if (this.#pages.size > PAGES_MAX) this.#pages.delete(this.#pages.keys().next().value!);
      this.#asked.delete(number);
      this.#tell({ error: undefined });
    } catch (error) {
      this.#asked.delete(number);
      if (!signal.aborted) this.#tell({ error });
    }
  }

  #get(cursor: string | undefined, signal: AbortSignal): Promise<ObjectsPage> {
    const { kind, words, state, sort } = this.#search;
    const query = new URLSearchParams({ limit: String(PAGE_ROWS) });
    for (const word of words.trim().split(/\s+/)) if (word !== '') query.append('filter', word);
    if (state !== '') query.set('state', state);
    if (sort !== '') query.set('sort', sort);
    if (cursor !== undefined) query.set('cursor', cursor);
    return get<ObjectsPage>(`/objects/${kind}?${query}`, signal);
  }

  #tell(change: Partial<List>): void {
    const before = this.list.value;
    this.list.set({ ...before, ...change, turn: before.turn + 1 });
  }
}
