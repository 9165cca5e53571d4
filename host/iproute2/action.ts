/** Actions of filters, as `tc -j` prints them in `actions`. Follows iproute2's tc/m_*.c. */

import { parseHex } from '../netlink/address.ts';
import type { Decoded } from '../netlink/decode.ts';
import {
  copy,
  type FormatContext,
  hexText,
  type Json,
  linkName,
  listOf,
  numberOf,
  recordOf,
  textOf,
} from './context.ts';
import { ethertypeName } from './names.ts';
import { classId, formatProgram, linkLayerName, maskedNumber, transmitSize } from './tc-values.ts';

const TC_ACT_VALUE = 0x0fffffff;
const TC_ACT_JUMP = 1;
const TC_ACT_GOTO_CHAIN = 2;

/** linux/pkt_cls.h TC_ACT_* */
const CONTROLS: Readonly<Record<number, string>> = {
  [-1]: 'continue',
  0: 'pass',
  1: 'reclassify',
  2: 'drop',
  3: 'pipe',
  4: 'stolen',
  8: 'trap',
};

/** What happens to the packet after the action. */
export function formatControl(value: unknown): Json {
  const action = numberOf(value) ?? 0;
  const extension = (action >>> 28) & 0xf;
  if (action > 0 && extension === TC_ACT_GOTO_CHAIN) return { type: 'goto', chain: action & TC_ACT_VALUE };
  if (action > 0 && extension === TC_ACT_JUMP) return { type: 'jump', jump: action & TC_ACT_VALUE };
  return { type: CONTROLS[action] ?? String(action) };
}

/** TCA_*_ACT: the list in the order of execution. */
export function formatActions(value: unknown, context: FormatContext): Json[] {
  return listOf(value).map((entry, index) => formatAction(recordOf(entry) ?? {}, index + 1, context));
}

function formatAction(action: Decoded, order: number, context: FormatContext): Json {
  const json: Json = { order };
  const kind = textOf(action.kind) ?? '';
  const options = recordOf(action.options);
  const format = Object.hasOwn(FORMATS, kind) ? FORMATS[kind] : undefined;
  json.kind = kind;
  if (format !== undefined && options !== undefined) format(json, options, context);
  if (action.cookie !== undefined) json.cookie = action.cookie;
  const flags = recordOf(action.flags);
  if (flags !== undefined && ((numberOf(flags.selector) ?? 0) & 1) !== 0) {
    json.no_percpu = ((numberOf(flags.value) ?? 0) & 1) !== 0;
  }
  hardwareStatistics(json, action, 'hw_stats');
  hardwareStatistics(json, action, 'used_hw_stats');
  return json;
}

function hardwareStatistics(json: Json, action: Decoded, name: string): void {
  const field = recordOf(action[name]);
  if (field === undefined) return;
  const types = (numberOf(field.value) ?? 0) & (numberOf(field.selector) ?? 0);
  const names: string[] = [];
  if ((types & 1) !== 0) names.push('immediate');
  if ((types & 2) !== 0) names.push('delayed');
  json[name] = types === 0 ? ['disabled'] : names;
}

type Format = (json: Json, options: Decoded, context: FormatContext) => void;

function references(json: Json, parameters: Decoded): void {
  copy(json, parameters, { index: 'index', ref: 'refcnt', bind: 'bindcnt' });
}

const RANDOM_TYPES = ['none', 'netrand', 'determ'];

const gact: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  json.control_action = formatControl(parameters.action);
  const probability = recordOf(options.prob);
  json.prob = {
    random_type: RANDOM_TYPES[numberOf(probability?.ptype) ?? 0] ?? 'none',
    control_action: formatControl(probability?.paction),
    val: probability?.pval ?? 0,
  };
  references(json, parameters);
};

/** linux/tc_act/tc_mirred.h TCA_*_REDIR and TCA_*_MIRROR */
const MIRRED: readonly (readonly [action: string, direction: string])[] = [
  ['unknown', 'unknown'],
  ['redirect', 'egress'],
  ['mirror', 'egress'],
  ['redirect', 'ingress'],
  ['mirror', 'ingress'],
];

const mirred: Format = (json, options, context) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const [action, direction] = MIRRED[numberOf(parameters.eaction) ?? 0] ?? MIRRED[0]!;
  json.mirred_action = action;
  json.direction = direction;
  if (options.blockid === undefined) json.to_dev = linkName(context, numberOf(parameters.ifindex) ?? 0);
  else json.to_block = options.blockid;
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const VLAN_ACTIONS = ['', 'pop', 'push', 'modify', 'pop_eth', 'push_eth'];

const vlan: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const action = numberOf(parameters.v_action) ?? 0;
  json.vlan_action = VLAN_ACTIONS[action] ?? String(action);
  if (action === 2 || action === 3) {
    copy(json, options, { id: 'push_vlan_id' });
    const protocol = numberOf(options.push_vlan_protocol);
    if (protocol !== undefined) json.protocol = ethertypeName(protocol);
    copy(json, options, { priority: 'push_vlan_priority' });
  } else if (action === 5) {
    copy(json, options, { dst_mac: 'push_eth_dst', src_mac: 'push_eth_src' });
  }
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const tunnelKey: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  if (parameters.t_action === 2) json.mode = 'unset';
  else if (parameters.t_action === 1) {
    json.mode = 'set';
    for (const side of ['src', 'dst']) {
      const address = options[`enc_ipv4_${side}`] ?? options[`enc_ipv6_${side}`];
      if (address !== undefined) json[`${side}_ip`] = address;
    }
    copy(json, options, { key_id: 'enc_key_id', dst_port: 'enc_dst_port' });
    tunnelOptions(json, recordOf(options.enc_opts));
    if (options.no_csum !== undefined) json.flag = options.no_csum === 0 ? 'csum' : 'nocsum';
    if (options.no_frag !== undefined) json.nofrag = true;
    if (options.enc_tos) json.tos = options.enc_tos;
    if (options.enc_ttl) json.ttl = options.enc_ttl;
  }
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

function tunnelOptions(json: Json, options: Decoded | undefined): void {
  if (options === undefined) return;
  if (options.geneve !== undefined) {
    json.geneve_opts = listOf(options.geneve).map((value) => {
      const option = recordOf(value) ?? {};
      return {
        class: option.class,
        type: option.type,
        data: [...(parseHex(textOf(option.data) ?? '') ?? [])],
      };
    });
  } else if (options.vxlan !== undefined) json.vxlan_opts = [options.vxlan];
  else if (options.erspan !== undefined) {
    json.erspan_opts = [{ ver: 0, index: 0, dir: 0, hwid: 0, ...recordOf(options.erspan) }];
  }
}

const PEDIT_HEADERS = ['network', 'eth', 'ipv4', 'ipv6', 'tcp', 'udp'];

const pedit: Format = (json, options) => {
  const parameters = recordOf(options.parms ?? options.parms_ex);
  if (parameters === undefined) return;
  const extended = listOf(recordOf(options.keys_ex)?.key_ex);
  json.control_action = formatControl(parameters.action);
  copy(json, parameters, { nkeys: 'nkeys' });
  references(json, parameters);
  json.keys = listOf(parameters.keys).map((value, index) => {
    const key = recordOf(value) ?? {};
    const extension = recordOf(extended[index]);
    const header = numberOf(extension?.htype) ?? 0;
    return {
      htype: PEDIT_HEADERS[header] ?? `unknown(${header})`,
      offset: key.off,
      cmd: extension?.cmd ? 'add' : 'set',
      val: (numberOf(key.val) ?? 0).toString(16),
      mask: (numberOf(key.mask) ?? 0).toString(16),
    };
  });
};

const police: Format = (json, options) => {
  const parameters = recordOf(options.tbf);
  if (parameters === undefined) return;
  const rate = recordOf(parameters.rate);
  const bytes = numberOf(options.rate64) ?? numberOf(rate?.rate) ?? 0;
  const peak = numberOf(options.peakrate64) ?? numberOf(recordOf(parameters.peakrate)?.rate) ?? 0;
  json.index = parameters.index;
  json.rate = bytes;
  json.burst = transmitSize(bytes, numberOf(parameters.burst) ?? 0);
  json.mtu = parameters.mtu;
  if (peak !== 0) json.peakrate = peak;
  if (options.avrate !== undefined) json.avrate = options.avrate;
  const packets = numberOf(options.pktrate64);
  if (packets !== undefined && options.pktburst64 !== undefined) {
    json.pkts_rate = packets;
    json.pkts_burst = transmitSize(packets, numberOf(options.pktburst64) ?? 0);
  }
  // iproute2 prints the name twice when there is a result; its readers see the last.
  json.control_action = formatControl(options.result ?? parameters.action);
  if (options.result !== undefined) json.exceed_action = formatControl(parameters.action);
  json.overhead = rate?.overhead ?? 0;
  const layer = linkLayerName(rate);
  if (layer !== undefined) json.linklayer = layer;
  copy(json, parameters, { ref: 'refcnt', bind: 'bindcnt' });
};

const PACKET_TYPES = ['host', 'broadcast', 'multicast', 'otherhost'];

const skbedit: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  copy(json, options, { queue_mapping: 'queue_mapping', queue_mapping_max: 'queue_mapping_max' });
  const priority = numberOf(options.priority);
  if (priority !== undefined) json.priority = classId(priority);
  copy(json, options, { mark: 'mark' });
  if (options.mask !== undefined) json.mask = (numberOf(options.mask) ?? 0).toString(16);
  const type = numberOf(options.ptype);
  if (type !== undefined) json.ptype = PACKET_TYPES[type] ?? type;
  if (((numberOf(options.flags) ?? 0) & 1) !== 0) json.inheritdsfield = null;
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const CHECKSUMS: readonly (readonly [number, string])[] = [
  [1, 'iph'],
  [2, 'icmp'],
  [4, 'igmp'],
  [8, 'tcp'],
  [16, 'udp'],
  [32, 'udplite'],
  [64, 'sctp'],
];

const csum: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const flags = numberOf(parameters.update_flags) ?? 0;
  const names = CHECKSUMS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  json.csum = names.length === 0 ? '?empty' : names.join(', ');
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

/** linux/tc_act/tc_ct.h TCA_CT_ACT_* */
const CT_COMMIT = 1;
const CT_FORCE = 2;
const CT_CLEAR = 4;
const CT_NAT = 8;
const CT_NAT_SRC = 16;
const CT_NAT_DST = 32;

const ct: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const action = numberOf(options.action) ?? 0;
  if ((action & CT_COMMIT) !== 0) json.action = (action & CT_FORCE) !== 0 ? 'commit force' : 'commit';
  else if ((action & CT_CLEAR) !== 0) json.action = 'clear';
  maskedNumber(json, 'mark', options.mark, options.mark_mask, 0xffffffff);
  copy(json, options, { zone: 'zone' });
  const labels = textOf(options.labels);
  const mask = textOf(options.labels_mask);
  if (labels !== undefined)
    json.label = mask === undefined || /^f{32}$/.test(mask) ? labels : `${labels}/${mask}`;
  if ((action & CT_NAT) !== 0) json.nat = connectionNat(action, options);
  const helper = textOf(options.helper_name);
  if (helper !== undefined) json.helper = helper;
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

function connectionNat(action: number, options: Decoded): string {
  let text = '';
  if ((action & CT_NAT_SRC) !== 0) text = 'src';
  else if ((action & CT_NAT_DST) !== 0) text = 'dst';
  else return text;
  const range = (label: string, first: unknown, last: unknown): void => {
    if (first === undefined) return;
    text += ` ${label} ${String(first)}`;
    if (last !== undefined && last !== first) text += `-${String(last)}`;
  };
  range('addr', options.nat_ipv4_min, options.nat_ipv4_max);
  range('addr', options.nat_ipv6_min, options.nat_ipv6_max);
  range('port', options.nat_port_min, options.nat_port_max);
  return text;
}

const MPLS_ACTIONS = ['', 'pop', 'push', 'modify', 'dec_ttl', 'mac_push'];

const mpls: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const action = numberOf(parameters.m_action) ?? 0;
  json.mpls_action = MPLS_ACTIONS[action] ?? String(action);
  const protocol = numberOf(options.proto);
  if (protocol !== undefined && action !== 3) json.protocol = ethertypeName(protocol);
  if (action === 2 || action === 3 || action === 5) {
    copy(json, options, { label: 'label', tc: 'tc', bos: 'bos', ttl: 'ttl' });
  }
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const sample: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  copy(json, options, { rate: 'rate', group: 'psample_group', trunc_size: 'trunc_size' });
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const bpf: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  copy(json, options, { bpf_name: 'name' });
  formatProgram(json, options);
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const nat: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const bits = (textOf(parameters.mask) ?? '')
    .split('.')
    .map((byte) => Number(byte).toString(2).replaceAll('0', '').length)
    .reduce((sum, count) => sum + count, 0);
  json.type = 'nat';
  json.direction = ((numberOf(parameters.flags) ?? 0) & 1) !== 0 ? 'egress' : 'ingress';
  json.old_addr = `${String(parameters.old_addr)}/${bits}`;
  json.new_addr = parameters.new_addr;
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const skbmod: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  const flags = numberOf(parameters.flags) ?? 0;
  json.control_action = formatControl(parameters.action);
  if ((flags & 1) !== 0) json.dst_mac = options.dmac;
  if ((flags & 2) !== 0) json.src_mac = options.smac;
  if ((flags & 4) !== 0) json.etype = hexText(numberOf(options.etype) ?? 0);
  if ((flags & 8) !== 0) json.swap_mac = true;
  references(json, parameters);
};

const connmark: Format = (json, options) => {
  const parameters = recordOf(options.parms);
  if (parameters === undefined) return;
  json.zone = parameters.zone;
  json.control_action = formatControl(parameters.action);
  references(json, parameters);
};

const FORMATS: Readonly<Record<string, Format>> = {
  gact,
  mirred,
  vlan,
  tunnel_key: tunnelKey,
  pedit,
  police,
  skbedit,
  skbmod,
  csum,
  ct,
  mpls,
  sample,
  bpf,
  nat,
  connmark,
};
