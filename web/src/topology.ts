/** Where links stand in the picture: ports at the bottom, above each what is made of it: VLANs, bonds, bridges, tunnels, VRFs. */
import type { ObjectItem, ObjectOffload } from '../../host/api/schemas.ts';

export interface LinkNode {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly isUp: boolean;
  readonly offload: readonly ObjectOffload[];
  readonly master: string | undefined;
  /** The link that it is stacked on. */
  readonly parent: string | undefined;
  x: number;
  y: number;
}

export interface Edge {
  readonly from: LinkNode;
  readonly to: LinkNode;
}

export interface Layout {
  readonly nodes: readonly LinkNode[];
  readonly edges: readonly Edge[];
  readonly width: number;
  readonly height: number;
}

export const NODE_WIDTH = 148;
export const NODE_HEIGHT = 50;
const GAP_X = 20;
const GAP_Y = 44;
const MARGIN = 12;
/** Bridges and VRFs wander towards their members so often. */
const ROUNDS = 4;
/** Links on top of links on top of links… */
const LAYERS_MAX = 16;

interface Link {
  readonly ifname: string;
  readonly master?: string;
  readonly link?: string | null;
  readonly link_netnsid?: number;
  readonly flags?: readonly string[];
  readonly link_type?: string;
  readonly linkinfo?: { readonly info_kind?: string };
}

export function nodesOf(items: readonly ObjectItem[]): LinkNode[] {
  return items.flatMap((item) => {
    if ('gone' in item) return [];
    const link = item.object as unknown as Link;
    const type = link.linkinfo?.info_kind ?? link.link_type ?? 'link';
    const isPair = type === 'veth' || link.link_netnsid !== undefined;
    return {
      id: item.id,
      name: link.ifname,
      type,
      isUp: link.flags?.includes('LOWER_UP') ?? false,
      offload: item.offload,
      master: link.master,
      parent: isPair ? undefined : (link.link ?? undefined),
      x: 0,
      y: 0,
    };
  });
}

/** Lays them out in rows no wider than `width`, where a row's links fit. */
export function layOut(nodes: readonly LinkNode[], width: number): Layout {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const edges: Edge[] = [];
  for (const node of nodes) {
    const master = byName.get(node.master ?? '');
    if (master !== undefined) edges.push({ from: node, to: master });
    const parent = byName.get(node.parent ?? '');
    if (parent !== undefined) edges.push({ from: parent, to: node });
  }
  const layers = layersOf(nodes, edges);
  for (let round = 0; round < ROUNDS; round++) for (const layer of layers) order(layer, edges);
  // A line to a lower row must not seem to end at a link that has none.
  const connected = new Set(edges.flatMap(({ from, to }) => [from, to]));
  for (const layer of layers) layer.sort((a, b) => Number(connected.has(b)) - Number(connected.has(a)));
  const perRow = Math.max(1, Math.floor((width - 2 * MARGIN + GAP_X) / (NODE_WIDTH + GAP_X)));
  // The first layer is the lowest in the picture; within one, rows are read from the top.
  const rows = layers
    .toReversed()
    .flatMap((layer) =>
      Array.from({ length: Math.ceil(layer.length / perRow) }, (_, row) =>
        layer.slice(row * perRow, (row + 1) * perRow),
      ),
    );
  for (const [number, row] of rows.entries()) {
    const rowWidth = row.length * (NODE_WIDTH + GAP_X) - GAP_X;
    for (const [place, node] of row.entries()) {
      node.x = Math.max(MARGIN, (width - rowWidth) / 2) + place * (NODE_WIDTH + GAP_X);
      node.y = MARGIN + number * (NODE_HEIGHT + GAP_Y);
    }
  }
  return {
    nodes,
    edges,
    width: Math.max(width, perRow === 1 ? NODE_WIDTH + 2 * MARGIN : 0),
    height: rows.length * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN,
  };
}

/** A link's layer is above those of all that it is made of. */
function layersOf(nodes: readonly LinkNode[], edges: readonly Edge[]): LinkNode[][] {
  const depth = new Map(nodes.map((node) => [node, 0]));
  for (let round = 0; round < LAYERS_MAX; round++) {
    let moved = false;
    for (const { from, to } of edges) {
      const above = Math.min(LAYERS_MAX - 1, depth.get(from)! + 1);
      if (depth.get(to)! >= above) continue;
      depth.set(to, above);
      moved = true;
    }
    if (!moved) break;
  }
  const layers: LinkNode[][] = [];
  for (const node of nodes) {
    const layer = depth.get(node)!;
    layers[layer] ??= [];
    layers[layer].push(node);
  }
  const filled = layers.filter(Boolean);
  const byName = new Intl.Collator('en', { numeric: true });
  // Ports first: they are what hardware has.
  for (const layer of filled)
    layer.sort(
      (a, b) => Number(b.offload.length > 0) - Number(a.offload.length > 0) || byName.compare(a.name, b.name),
    );
  for (const layer of filled) for (const [place, node] of layer.entries()) node.x = place;
  return filled;
}

/** Each near the middle of those it is connected with. */
function order(layer: LinkNode[], edges: readonly Edge[]): void {
  const middle = new Map(
    layer.map((node) => {
      const near = edges.flatMap(({ from, to }) => (from === node ? [to.x] : to === node ? [from.x] : []));
      return [node, near.length === 0 ? node.x : near.reduce((sum, x) => sum + x, 0) / near.length];
    }),
  );
  layer.sort((a, b) => middle.get(a)! - middle.get(b)!);
  for (const [place, node] of layer.entries()) node.x = place;
}
