/** Links, bridges, VRFs and tunnels as a picture, coloured by offload state. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ObjectsPage } from '../../../host/api/schemas.ts';
import { useCell } from '../cell.ts';
import { get } from '../client.ts';
import { count } from '../format.ts';
import { status } from '../live.ts';
import { Explain } from '../parts/explain.tsx';
import { Empty, Fault } from '../parts/panel.tsx';
import { OFFLOAD_STATES, toneOf, worst } from '../parts/state.tsx';
import { type Edge, type LinkNode, layOut, NODE_HEIGHT, NODE_WIDTH, nodesOf } from '../topology.ts';

/** Links that are shown; more would be no picture. */
const LINKS_MAX = 300;

export function TopologyPage() {
  const now = useCell(status);
  const revision = now?.revision ?? 0;
  const [page, setPage] = useState<ObjectsPage | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const [width, setWidth] = useState(0);
  const place = useRef<HTMLDivElement>(null);
  // Asked again with each revision.
  useEffect(() => {
    const ended = new AbortController();
    get<ObjectsPage>(`/objects/link?limit=${LINKS_MAX}`, ended.signal).then(
      (answer) => {
        setPage(answer);
        setError(undefined);
      },
      (problem: unknown) => !ended.signal.aborted && setError(problem),
    );
    return () => ended.abort();
  }, [revision]);
  useEffect(() => {
    const resized = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    resized.observe(place.current!);
    return () => resized.disconnect();
  }, []);
  const layout = useMemo(
    () => (page === undefined || width === 0 ? undefined : layOut(nodesOf(page.items), width)),
    [page, width],
  );
  return (
    <div class={chosen === undefined ? 'topology' : 'topology with-panel'}>
      <div class="list">
        <div class="summary">
          <p role="status">
            {page === undefined
              ? 'Looking…'
              : `${count(page.total)} links${page.total > LINKS_MAX ? `, the first ${LINKS_MAX} shown` : ''}`}
          </p>
          <p class="legend">
            {OFFLOAD_STATES.map((state) => (
              <span class="key" key={state}>
                <i class={toneOf(state)} /> {state}
              </span>
            ))}
            <span class="key">
              <i class="none" /> no port
            </span>
          </p>
        </div>
        {error !== undefined && <Fault error={error} />}
        <div class="picture" ref={place}>
          {page?.total === 0 && <Empty>There are no links.</Empty>}
          {layout !== undefined && layout.nodes.length > 0 && (
            <svg
              width={layout.width}
              height={layout.height}
              viewBox={`0 0 ${layout.width} ${layout.height}`}
              role="group"
              aria-label="Links"
            >
              {layout.edges.map((edge) => (
                <path key={`${edge.from.id} ${edge.to.id}`} class="edge" d={curve(edge)} />
              ))}
              {layout.nodes.map((node) => (
                <Node key={node.id} node={node} isChosen={node.id === chosen} onChoose={setChosen} />
              ))}
            </svg>
          )}
        </div>
      </div>
      {chosen !== undefined && (
        <Explain kind="link" id={chosen} revision={revision} onClose={() => setChosen(undefined)} />
      )}
    </div>
  );
}

interface NodeProps {
  readonly node: LinkNode;
  readonly isChosen: boolean;
  readonly onChoose: (id: number) => void;
}

function Node({ node, isChosen, onChoose }: NodeProps) {
  const state = worst(node.offload);
  const words = [node.type, node.isUp ? 'up' : 'down', state ?? 'no port'];
  return (
    <g
      class={`node ${toneOf(state ?? '')}${isChosen ? ' chosen' : ''}${node.isUp ? '' : ' down'}`}
      transform={`translate(${node.x} ${node.y})`}
      role="button"
      tabindex={0}
      data-link={node.name}
      onClick={() => onChoose(node.id)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        onChoose(node.id);
      }}
    >
      <rect class="box" width={NODE_WIDTH} height={NODE_HEIGHT} rx="6" />
      <rect class="side" width="5" height={NODE_HEIGHT} rx="2.5" />
      <text>
        <tspan x="14" y="21" class="name">
          {node.name}
        </tspan>{' '}
        <tspan x="14" y="38" class="words">
          {words.join(' · ')}
        </tspan>
      </text>
    </g>
  );
}

function curve({ from, to }: Edge): string {
  const [x1, y1] = [from.x + NODE_WIDTH / 2, from.y];
  const [x2, y2] = [to.x + NODE_WIDTH / 2, to.y + NODE_HEIGHT];
  const middle = (y1 + y2) / 2;
  return `M${x1} ${y1}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`;
}
