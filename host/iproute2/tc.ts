/** `tc -j qdisc`, `class`, `chain`, `filter` and actions. Follows iproute2's tc/tc_*.c, q_*.c, f_*.c and m_*.c. */

import type { Decoded, DecodedObject } from '../netlink/decode.ts';
import { formatActions } from './action.ts';
import {
  copy,
  type FormatContext,
  fraction,
  headerNumber,
  hexText,
  type Json,
  linkName,
  listOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { formatFlower } from './flower.ts';
import { ethertypeName } from './names.ts';
import {
  bytesOf,
  classId,
  formatProgram,
  linkLayerName,
  offloadFlags,
  TC_H_ROOT,
  tickTime,
  transmitSize,
} from './tc-values.ts';

const TC_H_INGRESS = 0xfffffff2;
const TC_H_EGRESS = 0xfffffff3;
const TCM_IFINDEX_MAGIC_BLOCK = -1;

function formatQdiscParent(json: Json, object: DecodedObject): void {
  const parent = headerNumber(object, 'parent');
  if (parent === TC_H_ROOT) json.root = true;
  else if (parent !== 0) json.parent = classId(parent);
}

export function formatQdisc(object: DecodedObject, context: FormatContext): Json {
  const kind = textOf(object.kind) ?? '';
  const json: Json = {
    kind,
    handle: `${(headerNumber(object, 'handle') >>> 16).toString(16)}:`,
    dev: linkName(context, headerNumber(object, 'ifindex')),
  };
  formatQdiscParent(json, object);
  const references = headerNumber(object, 'info');
  if (references !== 1) json.refcnt = references;
  if (object.hw_offload) json.offloaded = true;
  if (object.ingress_block) json.ingress_block = object.ingress_block;
  if (object.egress_block) json.egress_block = object.egress_block;
  json.options = formatQdiscOptions(kind, object.options);
  return json;
}

/** `tc -j class`, which iproute2 has as JSON since 6.10. */
export function formatClass(object: DecodedObject, context: FormatContext): Json {
  const kind = textOf(object.kind) ?? '';
  const handle = headerNumber(object, 'handle');
  const json: Json = { class: kind };
  if (handle !== 0) json.handle = classId(handle);
  json.dev = linkName(context, headerNumber(object, 'ifindex'));
  const parent = headerNumber(object, 'parent');
  if (parent === TC_H_ROOT) json.root = true;
  else json.parent = classId(parent);
  const leaf = headerNumber(object, 'info');
  if (leaf !== 0) json.leaf = hexText(leaf >>> 16);
  const options = recordOf(object.options);
  if (kind === 'htb' && options !== undefined) formatHtb(json, options);
  return json;
}

function formatQdiscOptions(kind: string, value: unknown): Json {
  const options = recordOf(value);
  const json: Json = {};
  if (options === undefined) return json;
  switch (kind) {
    case 'prio':
    case 'pfifo_fast':
      formatPrio(json, options);
      break;
    case 'pfifo':
    case 'bfifo':
    case 'pfifo_head_drop':
      copy(json, options, { limit: 'limit' });
      break;
    case 'htb':
      formatHtb(json, options);
      break;
    case 'tbf':
      formatTbf(json, options);
      break;
    case 'fq_codel':
      formatFqCodel(json, options);
      break;
    case 'fq':
      formatFq(json, options);
      break;
    case 'codel':
      copy(json, options, {
        limit: 'limit',
        target: 'target',
        ce_threshold: 'ce_threshold',
        interval: 'interval',
      });
      if (options.ecn) json.ecn = true;
      break;
    case 'netem':
      formatNetem(json, options);
      break;
  }
  return json;
}

function formatPrio(json: Json, options: Decoded): void {
  json.bands = options.bands ?? 0;
  json.priomap = bytesOf(options.priomap);
  json.multiqueue = false;
}

function formatHtb(json: Json, options: Decoded): void {
  const parameters = recordOf(options.parms);
  if (parameters !== undefined) {
    const rate = recordOf(parameters.rate);
    const ceil = recordOf(parameters.ceil);
    const rateBytes = numberOf(options.rate64) ?? numberOf(rate?.rate) ?? 0;
    const ceilBytes = numberOf(options.ceil64) ?? numberOf(ceil?.rate) ?? 0;
    if (!parameters.level) json.prio = parameters.prio;
    json.rate = rateBytes;
    if (rate?.overhead) json.overhead = rate.overhead;
    json.ceil = ceilBytes;
    const layer = linkLayerName(rate);
    if (layer !== undefined) json.linklayer = layer;
    json.burst = transmitSize(rateBytes, numberOf(parameters.buffer) ?? 0);
    json.cburst = transmitSize(ceilBytes, numberOf(parameters.cbuffer) ?? 0);
  }
  const global = recordOf(options.init);
  if (global !== undefined) {
    json.r2q = global.rate2quantum;
    json.default = hexText(numberOf(global.defcls) ?? 0);
    json.direct_packets_stat = global.direct_pkts;
  }
  copy(json, options, { direct_qlen: 'direct_qlen' });
  if (options.offload !== undefined) json.offload = null;
}

function formatTbf(json: Json, options: Decoded): void {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const rate = recordOf(parameters.rate);
  const peak = recordOf(parameters.peakrate);
  const field = (name: string): number => numberOf(parameters[name]) ?? 0;
  const rateBytes = numberOf(options.rate64) ?? numberOf(rate?.rate) ?? 0;
  const peakBytes = numberOf(options.prate64) ?? numberOf(peak?.rate) ?? 0;
  json.rate = rateBytes;
  json.burst = transmitSize(rateBytes, field('buffer'));
  if (peakBytes !== 0) {
    json.peakrate = peakBytes;
    if (field('mtu') !== 0 || peak?.mpu) json.minburst = transmitSize(peakBytes, field('mtu'));
  }
  let latency = 1_000_000 * (field('limit') / rateBytes) - tickTime(field('buffer'));
  if (peakBytes !== 0) {
    latency = Math.max(latency, 1_000_000 * (field('limit') / peakBytes) - tickTime(field('mtu')));
  }
  if (latency >= 0) json.lat = Math.trunc(latency);
  else json.limit = field('limit');
  if (rate?.overhead) json.overhead = rate.overhead;
  const layer = linkLayerName(rate);
  if (layer !== undefined) json.linklayer = layer;
}

function formatFqCodel(json: Json, options: Decoded): void {
  copy(json, options, {
    limit: 'limit',
    flows: 'flows',
    quantum: 'quantum',
    target: 'target',
    ce_threshold: 'ce_threshold',
  });
  if (options.ce_threshold_selector || options.ce_threshold_mask) {
    json.ce_threshold_selector = options.ce_threshold_selector ?? 0;
    json.ce_threshold_mask = options.ce_threshold_mask ?? 0;
  }
  copy(json, options, { interval: 'interval', memory_limit: 'memory_limit' });
  if (options.ecn) json.ecn = true;
  if (options.drop_batch_size) json.drop_batch = options.drop_batch_size;
}

function formatFq(json: Json, options: Decoded): void {
  copy(json, options, { limit: 'plimit', flow_limit: 'flow_plimit' });
  const buckets = numberOf(options.buckets_log);
  if (buckets !== undefined) json.buckets = 2 ** (buckets & 31);
  copy(json, options, { orphan_mask: 'orphan_mask' });
  if (options.rate_enable === 0) json.pacing = false;
  copy(json, options, { quantum: 'quantum', initial_quantum: 'initial_quantum' });
  if (options.flow_max_rate !== undefined && options.flow_max_rate !== 0xffffffff) {
    json.maxrate = options.flow_max_rate;
  }
  if (options.flow_default_rate) json.defrate = options.flow_default_rate;
  if (options.low_rate_threshold) json.low_rate_threshold = options.low_rate_threshold;
  copy(json, options, { refill_delay: 'flow_refill_delay' });
  if (options.ce_threshold !== undefined && options.ce_threshold !== 0xffffffff) {
    json.ce_threshold = options.ce_threshold;
  }
  copy(json, options, { timer_slack: 'timer_slack', horizon: 'horizon' });
  if (options.horizon_drop !== undefined) {
    json[options.horizon_drop === 0 ? 'horizon_cap' : 'horizon_drop'] = null;
  }
}

function formatNetem(json: Json, options: Decoded): void {
  const field = (name: string): number => numberOf(options[name]) ?? 0;
  const correlation = recordOf(options.corr);
  const share = (value: unknown): number => fraction((numberOf(value) ?? 0) / 0xffffffff);
  const correlated = (into: Json, value: unknown): Json => ({ ...into, correlation: share(value) });
  json.limit = field('limit');
  if (field('latency') !== 0) {
    const delay: Json = {
      delay: fraction(tickTime(field('latency')) / 1_000_000),
      jitter: fraction(tickTime(field('jitter')) / 1_000_000),
    };
    json.delay = correlated(delay, correlation?.delay_corr);
  }
  if (field('loss') !== 0) {
    json['loss-random'] = correlated({ loss: share(field('loss')) }, correlation?.loss_corr);
  }
  const loss = recordOf(options.loss_model);
  for (const [attribute, printed, names] of [
    ['gi', 'loss-state', ['p13', 'p31', 'p32', 'p23', 'p14']],
    ['ge', 'loss-gemodel', ['p', 'r', 'h', 'k1']],
  ] as const) {
    const model = recordOf(loss?.[attribute]);
    if (model === undefined) continue;
    const values: Json = {};
    for (const name of names) {
      const value = numberOf(model[name]) ?? 0;
      if (name === 'h') values['1-h'] = share(0xffffffff - value);
      else values[name === 'k1' ? '1-k' : name] = share(value);
    }
    json[printed] = values;
  }
  if (field('duplicate') !== 0) {
    json.duplicate = correlated({ duplicate: share(field('duplicate')) }, correlation?.dup_corr);
  }
  for (const name of ['reorder', 'corrupt']) {
    const model = recordOf(options[name]);
    if (!model?.probability) continue;
    json[name] = correlated({ [name]: share(model.probability) }, model.correlation);
  }
  const rate = recordOf(options.rate);
  if (rate?.rate) {
    json.rate = {
      rate: options.rate64 || rate.rate,
      packetoverhead: rate.packet_overhead,
      cellsize: rate.cell_size,
      celloverhead: rate.cell_overhead,
    };
  }
  json.ecn = options.ecn !== undefined;
  json.gap = field('gap');
}

/** Where a filter or chain hangs. */
function formatAttachment(json: Json, object: DecodedObject, context: FormatContext): void {
  const parent = headerNumber(object, 'parent');
  const ifindex = headerNumber(object, 'ifindex');
  if (ifindex === TCM_IFINDEX_MAGIC_BLOCK) {
    json.block = parent;
    return;
  }
  json.dev = linkName(context, ifindex);
  if (parent === TC_H_ROOT) json.root = true;
  else if (parent === TC_H_INGRESS) json.ingress = true;
  else if (parent === TC_H_EGRESS) json.egress = true;
  else json.parent = classId(parent);
}

export interface FilterOrder {
  /** Ethertype in host byte order, 0 for none. */
  readonly protocol: number;
  /** Priority, lower first. */
  readonly preference: number;
}

export function filterOrder(object: DecodedObject): FilterOrder {
  const info = headerNumber(object, 'info');
  return { protocol: ((info & 0xff) << 8) | ((info >>> 8) & 0xff), preference: info >>> 16 };
}

export function formatFilter(object: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  formatAttachment(json, object, context);
  const { protocol, preference } = filterOrder(object);
  if (protocol !== 0) json.protocol = ethertypeName(protocol);
  if (preference !== 0) json.pref = preference;
  const kind = textOf(object.kind);
  if (kind !== undefined) json.kind = kind;
  copy(json, object as Decoded, { chain: 'chain' });
  if (kind !== undefined && object.options !== undefined) {
    json.options = formatFilterOptions(kind, object, context);
  }
  return json;
}

export function formatChain(object: DecodedObject, context: FormatContext): Json {
  const json: Json = {};
  formatAttachment(json, object, context);
  copy(json, object as Decoded, { kind: 'kind', chain: 'chain' });
  return json;
}

function formatFilterOptions(kind: string, object: DecodedObject, context: FormatContext): Json {
  const options = recordOf(object.options);
  const json: Json = {};
  if (options === undefined) return json;
  const handle = headerNumber(object, 'handle');
  switch (kind) {
    case 'flower':
      formatFlower(json, options, handle);
      break;
    case 'matchall':
      if (handle !== 0) json.handle = handle;
      formatFlowId(json, options);
      offloadFlags(json, options.flags);
      break;
    case 'u32':
      formatU32(json, options, handle);
      break;
    case 'bpf':
      formatBpf(json, options, handle);
      break;
    case 'fw':
      formatFw(json, options, handle);
      break;
    case 'basic':
      if (handle !== 0) json.handle = hexText(handle);
      formatFlowId(json, options);
      break;
  }
  if (options.act !== undefined) json.actions = formatActions(options.act, context);
  return json;
}

function formatFlowId(json: Json, options: Decoded): void {
  const id = numberOf(options.classid);
  if (id !== undefined) json.flowid = classId(id);
}

/** A u32 handle: hash table, bucket, node. */
export function u32Handle(handle: number): string {
  if (handle === 0) return 'none';
  const table = handle >>> 20;
  const bucket = (handle >>> 12) & 0xff;
  const node = handle & 0xfff;
  let text = table === 0 ? '' : `${table.toString(16)}:`;
  if (bucket !== 0) text += bucket.toString(16);
  if (node !== 0) text += `:${node.toString(16)}`;
  return text;
}

const TC_U32_OFFSET = 2;
const TC_U32_VAROFFSET = 4;

function formatU32(json: Json, options: Decoded, handle: number): void {
  if (handle !== 0) json.fh = u32Handle(handle);
  if ((handle & 0xfff) !== 0) json.order = handle & 0xfff;
  const divisor = numberOf(options.divisor);
  const hash = numberOf(options.hash);
  if (divisor !== undefined) json.ht_divisor = divisor;
  else if (hash !== undefined) {
    json.key_ht = (hash >>> 20).toString(16);
    json.bkt = ((hash >>> 12) & 0xff).toString(16);
  }
  formatFlowId(json, options);
  const link = numberOf(options.link);
  if (link !== undefined) json.link = u32Handle(link);
  offloadFlags(json, options.flags);
  const mark = recordOf(options.mark);
  if (mark !== undefined) {
    json.fwmark_value = hexText(numberOf(mark.val) ?? 0);
    json.fwmark_mask = hexText(numberOf(mark.mask) ?? 0);
    json.fwmark_success = mark.success;
  }
  const selector = recordOf(options.sel);
  if (selector !== undefined) formatU32Selector(json, selector);
  const police = recordOf(options.police);
  if (police !== undefined) json.police = police;
  if (options.indev !== undefined) json.input_dev = options.indev;
}

/** iproute2 repeats the name `match` for each key; here `match` is the last, as its readers see, and `keys` has them all. */
function formatU32Selector(json: Json, selector: Decoded): void {
  const field = (name: string): number => numberOf(selector[name]) ?? 0;
  const keys = listOf(selector.keys)
    .slice(0, field('nkeys'))
    .map((value): Json => {
      const key = recordOf(value) ?? {};
      return {
        value: (numberOf(key.val) ?? 0).toString(16),
        mask: (numberOf(key.mask) ?? 0).toString(16),
        offmask: key.offmask ? 'nexthdr+' : '',
        off: key.off,
      };
    });
  const last = keys.at(-1);
  if (last !== undefined) {
    json.match = last;
    json.keys = keys;
  }
  if ((field('flags') & (TC_U32_OFFSET | TC_U32_VAROFFSET)) !== 0) {
    if ((field('flags') & TC_U32_VAROFFSET) !== 0) {
      json.offset_mask = field('offmask').toString(16);
      json.offset_shift = field('offshift');
      json.offset_off = field('offoff');
    }
    if (field('off') !== 0) json.plus = field('off');
  }
  if (field('hmask') !== 0) {
    json.hash_mask = field('hmask').toString(16);
    json.hash_off = field('hoff');
  }
}

function formatBpf(json: Json, options: Decoded, handle: number): void {
  if (handle !== 0) json.handle = hexText(handle);
  formatFlowId(json, options);
  copy(json, options, { bpf_name: 'name' });
  if (((numberOf(options.flags) ?? 0) & 1) !== 0) json['direct-action'] = true;
  offloadFlags(json, options.flags_gen);
  formatProgram(json, options);
}

function formatFw(json: Json, options: Decoded, handle: number): void {
  if (handle !== 0 || options.mask) {
    json.fw = hexText(handle);
    if (options.mask) json.mask = hexText(numberOf(options.mask) ?? 0);
  }
  const id = numberOf(options.classid);
  if (id !== undefined) json.classid = classId(id);
  copy(json, options, { indev: 'indev' });
}
