/** A table of which only the rows in sight exist. Keys: arrows, page, home and end move, enter opens. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Source } from '../source.ts';
import { firstRow, fullHeight, ROW, rowTop, scrollTo, wholeRows } from '../window.ts';
import { Offload, toneOf, worst } from './state.tsx';

/** Rows beyond those in sight. */
const MORE = 8;

interface RowsProps {
  readonly source: Source;
  readonly total: number;
  readonly sort: string;
  readonly onSort: (sort: string) => void;
  readonly chosen: number | undefined;
  readonly onChoose: (id: number) => void;
}

export function Rows({ source, total, sort, onSort, chosen, onChoose }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [view, setView] = useState(600);
  const [active, setActive] = useState(0);
  const sight = { total, top, height: view };
  const inSight = wholeRows(view) + 1;
  const first = firstRow(sight);
  const begin = Math.max(0, first - MORE);
  const end = Math.min(total, first + inSight + MORE);

  useLayoutEffect(() => {
    const element = box.current!;
    const resized = new ResizeObserver(() => setView(element.clientHeight - ROW));
    resized.observe(element);
    return () => resized.disconnect();
  }, []);
  // Another search begins at its first row, before anybody sees it: a later reset would take back a scroll that came meanwhile.
  useLayoutEffect(() => {
    box.current!.scrollTop = 0;
    setTop(0);
    setActive(0);
  }, [source]);

  const show = (row: number) => {
    const place = Math.max(0, Math.min(total - 1, row));
    setActive(place);
    const wanted = scrollTo(place, sight);
    if (wanted !== undefined) box.current!.scrollTop = wanted;
  };
  const press = (event: KeyboardEvent) => {
    const page = Math.max(1, inSight - 2);
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: total - 1,
    };
    const target = moves[event.key];
    if (target !== undefined) show(target);
    else if (event.key === 'Enter') choose(active);
    else return;
    event.preventDefault();
  };
  const choose = (row: number) => {
    setActive(row);
    const item = source.row(row);
    if (item !== undefined && !('gone' in item)) onChoose(item.id);
  };

  const rows = [];
  for (let row = begin; row < end; row++) {
    const item = source.row(row);
    const y = rowTop(row, sight);
    const isGone = item !== undefined && 'gone' in item;
    const there = item === undefined || 'gone' in item ? undefined : item;
    rows.push(
      // biome-ignore lint/a11y/useKeyWithClickEvents: the grid has the keys
      <div
        key={row}
        id={`row-${row}`}
        role="row"
        aria-rowindex={row + 2}
        aria-selected={there !== undefined && there.id === chosen}
        class={`row ${there === undefined ? '' : toneOf(worst(there.offload) ?? '')}${row === active ? ' active' : ''}`}
        style={{ transform: `translateY(${y}px)` }}
        onClick={() => choose(row)}
      >
        <span role="gridcell" class="text">
          {isGone ? <span class="muted">gone</span> : (there?.text ?? '…')}
        </span>
        <span role="gridcell" class="state">
          {there !== undefined && <Offload offload={there.offload} />}
        </span>
        <span role="gridcell" class="number">
          {there?.revision}
        </span>
      </div>,
    );
  }
  return (
    <div
      class="rows-grid"
      role="grid"
      aria-label="Objects"
      aria-rowcount={total + 1}
      aria-colcount={3}
      aria-activedescendant={active >= begin && active < end ? `row-${active}` : undefined}
      tabIndex={0}
      ref={box}
      onKeyDown={press}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div role="row" class="row head" aria-rowindex={1}>
        <Head name="text" label="Object" sort={sort} onSort={onSort} />
        <Head name="offload" label="Offload" sort={sort} onSort={onSort} />
        <Head name="revision" label="Revision" sort={sort} onSort={onSort} isNumber />
      </div>
      <div role="rowgroup" class="body" style={{ height: `${fullHeight(total)}px` }}>
        {rows}
      </div>
    </div>
  );
}

interface HeadProps {
  readonly name: string;
  readonly label: string;
  readonly sort: string;
  readonly onSort: (sort: string) => void;
  readonly isNumber?: boolean;
}

/** Sorts upwards, downwards, and as the mirror has them. */
function Head({ name, label, sort, onSort, isNumber }: HeadProps) {
  const direction = sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : 'none';
  const next = { none: name, ascending: `-${name}`, descending: '' }[direction];
  const arrow = { none: '', ascending: ' ↑', descending: ' ↓' }[direction];
  return (
    <span role="columnheader" class={isNumber ? 'number' : ''} aria-sort={direction}>
      <button type="button" onClick={() => onSort(next)}>
        {label}
        <span aria-hidden="true">{arrow}</span>
      </button>
    </span>
  );
}
