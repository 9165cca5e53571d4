/** nftables through nfnetlink: struct nfgenmsg and NFTA_*. Numbers are big-endian. */

import {
  attributes,
  type Family,
  many,
  type NestType,
  nest,
  type Row,
  select,
  struct,
  type Type,
} from '../schema.ts';

/** linux/netfilter/nfnetlink.h struct nfgenmsg; `family` is NFPROTO_*. */
export const nftHeader = struct('nfgenmsg', { family: 'u8', version: 'u8', res_id: 'be16' });

export const nftTableAttributes = attributes(
  'nft table',
  'enum NFTA_TABLE_* in linux/netfilter/nf_tables.h',
  {
    name: [1, 'string', 'Name'],
    flags: [2, 'be32', 'NFT_TABLE_F_*'],
    use: [3, 'be32', 'Chains in it'],
    handle: [4, 'be64', 'Handle'],
    pad: [5, 'binary', 'Padding'],
    userdata: [6, 'binary', 'Data of the user'],
    owner: [7, 'be32', 'Port id of the owner'],
  },
);

export const nftDeviceListAttributes = attributes(
  'nft devices',
  'enum NFTA_DEVICE_* in linux/netfilter/nf_tables.h',
  { name: [1, many('string'), 'Interface'] },
);

export const nftHookAttributes = attributes('nft hook', 'enum NFTA_HOOK_* in linux/netfilter/nf_tables.h', {
  hooknum: [1, 'be32', 'NF_INET_* or NF_NETDEV_*'],
  priority: [2, 'be32', 'Priority, signed'],
  dev: [3, 'string', 'Interface'],
  devs: [4, nest(() => nftDeviceListAttributes), 'Interfaces'],
});

export const nftCounterAttributes = attributes(
  'nft counter',
  'enum NFTA_COUNTER_* in linux/netfilter/nf_tables.h',
  {
    bytes: [1, 'be64', 'Bytes'],
    packets: [2, 'be64', 'Packets'],
    pad: [3, 'binary', 'Padding'],
  },
);

export const nftChainAttributes = attributes(
  'nft chain',
  'enum NFTA_CHAIN_* in linux/netfilter/nf_tables.h',
  {
    table: [1, 'string', 'Table'],
    handle: [2, 'be64', 'Handle'],
    name: [3, 'string', 'Name'],
    hook: [4, nest(() => nftHookAttributes), 'Hook of a base chain'],
    policy: [5, 'be32', 'Verdict at the end: 0 drop, 1 accept'],
    use: [6, 'be32', 'References'],
    type: [7, 'string', 'filter, nat or route'],
    counters: [8, nest(() => nftCounterAttributes), 'Counters'],
    pad: [9, 'binary', 'Padding'],
    flags: [10, 'be32', 'NFT_CHAIN_*'],
    id: [11, 'be32', 'Id in a transaction'],
    userdata: [12, 'binary', 'Data of the user'],
  },
);

export const nftVerdictAttributes = attributes(
  'nft verdict',
  'enum NFTA_VERDICT_* in linux/netfilter/nf_tables.h',
  {
    code: [1, 'be32', 'Verdict, signed'],
    chain: [2, 'string', 'Chain to go to'],
    chain_id: [3, 'be32', 'Chain in a transaction'],
  },
);

export const nftDataAttributes = attributes('nft data', 'enum NFTA_DATA_* in linux/netfilter/nf_tables.h', {
  value: [1, 'binary', 'Bytes as in the packet'],
  verdict: [2, nest(() => nftVerdictAttributes), 'Verdict'],
});

const data = nest(() => nftDataAttributes);

function nft(name: string, rows: Readonly<Record<string, Row>>): NestType {
  const set = attributes(
    `nft ${name}`,
    `enum NFTA_${name.toUpperCase()}_* in linux/netfilter/nf_tables.h`,
    rows,
  );
  return nest(() => set);
}

/** NFTA_EXPR_DATA by NFTA_EXPR_NAME. */
const nftExpressions: Readonly<Record<string, Type>> = {
  immediate: nft('immediate', {
    dreg: [1, 'be32', 'Destination register'],
    data: [2, data, 'Value'],
  }),
  bitwise: nft('bitwise', {
    sreg: [1, 'be32', 'Source register'],
    dreg: [2, 'be32', 'Destination register'],
    len: [3, 'be32', 'Bytes'],
    mask: [4, data, 'Mask'],
    xor: [5, data, 'Exclusive or'],
    op: [6, 'be32', 'NFT_BITWISE_*'],
    data: [7, data, 'Argument of op'],
    sreg2: [8, 'be32', 'Second source register'],
  }),
  byteorder: nft('byteorder', {
    sreg: [1, 'be32', 'Source register'],
    dreg: [2, 'be32', 'Destination register'],
    op: [3, 'be32', '0 ntoh, 1 hton'],
    len: [4, 'be32', 'Bytes'],
    size: [5, 'be32', 'Bytes of an element'],
  }),
  cmp: nft('cmp', {
    sreg: [1, 'be32', 'Source register'],
    op: [2, 'be32', '0 eq, 1 neq, 2 lt, 3 lte, 4 gt, 5 gte'],
    data: [3, data, 'Value'],
  }),
  range: nft('range', {
    sreg: [1, 'be32', 'Source register'],
    op: [2, 'be32', '0 eq, 1 neq'],
    from_data: [3, data, 'First value'],
    to_data: [4, data, 'Last value'],
  }),
  lookup: nft('lookup', {
    set: [1, 'string', 'Set'],
    sreg: [2, 'be32', 'Source register'],
    dreg: [3, 'be32', 'Destination register'],
    set_id: [4, 'be32', 'Set in a transaction'],
    flags: [5, 'be32', '1 inverted'],
  }),
  payload: nft('payload', {
    dreg: [1, 'be32', 'Destination register'],
    base: [2, 'be32', '0 link layer, 1 network, 2 transport, 3 inner, 4 tunnel'],
    offset: [3, 'be32', 'Bytes from the base'],
    len: [4, 'be32', 'Bytes'],
    sreg: [5, 'be32', 'Source register'],
    csum_type: [6, 'be32', 'Checksum to update'],
    csum_offset: [7, 'be32', 'Where it is'],
    csum_flags: [8, 'be32', 'Pseudo header'],
  }),
  exthdr: nft('exthdr', {
    dreg: [1, 'be32', 'Destination register'],
    type: [2, 'u8', 'Header or option'],
    offset: [3, 'be32', 'Offset'],
    len: [4, 'be32', 'Bytes'],
    flags: [5, 'be32', '1 only whether it is there'],
    op: [6, 'be32', 'NFT_EXTHDR_OP_*'],
    sreg: [7, 'be32', 'Source register'],
  }),
  meta: nft('meta', {
    dreg: [1, 'be32', 'Destination register'],
    key: [2, 'be32', 'NFT_META_*'],
    sreg: [3, 'be32', 'Source register'],
  }),
  ct: nft('ct', {
    dreg: [1, 'be32', 'Destination register'],
    key: [2, 'be32', 'NFT_CT_*'],
    direction: [3, 'u8', 'Direction'],
    sreg: [4, 'be32', 'Source register'],
  }),
  counter: nest(() => nftCounterAttributes),
  flow_offload: nft('flow', { table_name: [1, 'string', 'Flowtable'] }),
  limit: nft('limit', {
    rate: [1, 'be64', 'Packets or bytes'],
    unit: [2, 'be64', 'Seconds'],
    burst: [3, 'be32', 'Burst'],
    type: [4, 'be32', '0 packets, 1 bytes'],
    flags: [5, 'be32', '1 inverted'],
    pad: [6, 'binary', 'Padding'],
  }),
  log: nft('log', {
    group: [1, 'be16', 'Group'],
    prefix: [2, 'string', 'Prefix'],
    snaplen: [3, 'be32', 'Bytes'],
    qthreshold: [4, 'be16', 'Messages kept together'],
    level: [5, 'be32', 'Level'],
    flags: [6, 'be32', 'Flags'],
  }),
  reject: nft('reject', {
    type: [1, 'be32', '0 ICMP unreachable, 1 TCP reset, 2 ICMPX unreachable'],
    icmp_code: [2, 'u8', 'Code'],
  }),
  nat: nft('nat', {
    type: [1, 'be32', '0 source, 1 destination'],
    family: [2, 'be32', 'NFPROTO_*'],
    reg_addr_min: [3, 'be32', 'Register of the first address'],
    reg_addr_max: [4, 'be32', 'Register of the last address'],
    reg_proto_min: [5, 'be32', 'Register of the first port'],
    reg_proto_max: [6, 'be32', 'Register of the last port'],
    flags: [7, 'be32', 'NF_NAT_RANGE_*'],
  }),
  masq: nft('masq', {
    flags: [1, 'be32', 'NF_NAT_RANGE_*'],
    reg_proto_min: [2, 'be32', 'Register of the first port'],
    reg_proto_max: [3, 'be32', 'Register of the last port'],
  }),
  redir: nft('redir', {
    reg_proto_min: [1, 'be32', 'Register of the first port'],
    reg_proto_max: [2, 'be32', 'Register of the last port'],
    flags: [3, 'be32', 'NF_NAT_RANGE_*'],
  }),
  fwd: nft('fwd', {
    sreg_dev: [1, 'be32', 'Register of the interface'],
    sreg_addr: [2, 'be32', 'Register of the address'],
    nfproto: [3, 'be32', 'NFPROTO_*'],
  }),
  dup: nft('dup', {
    sreg_addr: [1, 'be32', 'Register of the address'],
    sreg_dev: [2, 'be32', 'Register of the interface'],
  }),
  fib: nft('fib', {
    dreg: [1, 'be32', 'Destination register'],
    result: [2, 'be32', 'NFT_FIB_RESULT_*'],
    flags: [3, 'be32', 'NFTA_FIB_F_*'],
  }),
  objref: nft('objref', {
    imm_type: [1, 'be32', 'Type of the object'],
    imm_name: [2, 'string', 'Name of the object'],
    set_sreg: [3, 'be32', 'Source register'],
    set_name: [4, 'string', 'Set'],
    set_id: [5, 'be32', 'Set in a transaction'],
  }),
};

export const nftExpressionAttributes = attributes(
  'nft expression',
  'enum NFTA_EXPR_* in linux/netfilter/nf_tables.h',
  {
    name: [1, 'string', 'Type of the expression'],
    data: [2, select('name', nftExpressions), 'Its data'],
  },
);

export const nftExpressionListAttributes = attributes(
  'nft expressions',
  'enum NFTA_LIST_* in linux/netfilter/nf_tables.h',
  { elem: [1, many(nest(() => nftExpressionAttributes)), 'Expression'] },
);

export const nftCompatAttributes = attributes(
  'nft compat',
  'enum NFTA_RULE_COMPAT_* in linux/netfilter/nf_tables.h',
  {
    proto: [1, 'be32', 'Protocol'],
    flags: [2, 'be32', 'Flags'],
  },
);

export const nftRuleAttributes = attributes('nft rule', 'enum NFTA_RULE_* in linux/netfilter/nf_tables.h', {
  table: [1, 'string', 'Table'],
  chain: [2, 'string', 'Chain'],
  handle: [3, 'be64', 'Handle'],
  expressions: [4, nest(() => nftExpressionListAttributes), 'Expressions, in order'],
  compat: [5, nest(() => nftCompatAttributes), 'Of an iptables rule'],
  position: [6, 'be64', 'Handle of the rule before'],
  userdata: [7, 'binary', 'Data of the user'],
  pad: [8, 'binary', 'Padding'],
  id: [9, 'be32', 'Id in a transaction'],
  position_id: [10, 'be32', 'Rule before in a transaction'],
  chain_id: [11, 'be32', 'Chain in a transaction'],
});

export const nftFlowtableHookAttributes = attributes(
  'nft flowtable hook',
  'enum NFTA_FLOWTABLE_HOOK_* in linux/netfilter/nf_tables.h',
  {
    num: [1, 'be32', 'Hook'],
    priority: [2, 'be32', 'Priority, signed'],
    devs: [3, nest(() => nftDeviceListAttributes), 'Interfaces'],
  },
);

export const nftFlowtableAttributes = attributes(
  'nft flowtable',
  'enum NFTA_FLOWTABLE_* in linux/netfilter/nf_tables.h',
  {
    table: [1, 'string', 'Table'],
    name: [2, 'string', 'Name'],
    hook: [3, nest(() => nftFlowtableHookAttributes), 'Hook'],
    use: [4, 'be32', 'References'],
    handle: [5, 'be64', 'Handle'],
    pad: [6, 'binary', 'Padding'],
    flags: [7, 'be32', '1 hardware offload, 2 counters'],
  },
);

export const nftTableFamily: Family = {
  name: 'nft-table',
  header: nftHeader,
  attributes: nftTableAttributes,
};
export const nftChainFamily: Family = {
  name: 'nft-chain',
  header: nftHeader,
  attributes: nftChainAttributes,
};
export const nftRuleFamily: Family = { name: 'nft-rule', header: nftHeader, attributes: nftRuleAttributes };
export const nftFlowtableFamily: Family = {
  name: 'nft-flowtable',
  header: nftHeader,
  attributes: nftFlowtableAttributes,
};
