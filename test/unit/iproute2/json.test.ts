/** JSON of objects that need what few test machines have: bonds, VRFs, VLANs, flower, hardware flags. Through bytes. */

import { describe, expect, test } from 'vitest';
import { formatJson, stringify } from '../../../host/iproute2/json.ts';
import type { Kind } from '../../../host/mirror/types.ts';
import { type DecodedObject, decodeObject } from '../../../host/netlink/decode.ts';
import { encodeObject } from '../../../host/netlink/encode.ts';

const NAMES: Readonly<Record<number, string>> = { 1: 'lo', 2: 'eth0', 3: 'eth1', 4: 'br0', 5: 'vrf-blue' };
const context = { linkName: (ifindex: number) => NAMES[ifindex] };

/** The JSON of objects after they went through the kernel's form. */
function printed(kind: Kind, ...objects: DecodedObject[]): Record<string, unknown>[] {
  const decoded = objects.map((object) => {
    const bytes = encodeObject(kind, object);
    return decodeObject(kind, bytes, 0, bytes.length);
  });
  return JSON.parse(stringify(formatJson(kind, decoded, context))) as Record<string, unknown>[];
}

const linkHeader = { family: 0, type: 1, index: 2, flags: 0x11043 };

describe('links', () => {
  test('a bond and its slave', () => {
    const [bond, slave] = printed(
      'link',
      {
        header: linkHeader,
        ifname: 'bond0',
        linkinfo: {
          kind: 'bond',
          data: {
            mode: 4,
            active_slave: 3,
            miimon: 100,
            arp_ip_target: ['10.0.0.1', '10.0.0.2'],
            arp_validate: 0,
            arp_all_targets: 0,
            primary_reselect: 1,
            fail_over_mac: 0,
            xmit_hash_policy: 1,
            ad_lacp_rate: 1,
            ad_select: 0,
            ad_info: {
              aggregator: 1,
              num_ports: 2,
              actor_key: 9,
              partner_key: 1,
              partner_mac: '02:00:00:00:00:01',
            },
            ad_actor_sys_prio: 65535,
          },
        },
      },
      {
        header: { ...linkHeader, index: 3 },
        ifname: 'eth1',
        linkinfo: {
          slave_kind: 'bond',
          slave_data: {
            state: 0,
            mii_status: 0,
            link_failure_count: 2,
            perm_hwaddr: '02:00:00:00:00:07',
            queue_id: 0,
            ad_actor_oper_port_state: 61,
            ad_partner_oper_port_state: 61,
          },
        },
      },
    );
    expect(bond!.flags).toEqual(['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP']);
    expect(bond!.linkinfo).toEqual({
      info_kind: 'bond',
      info_data: {
        mode: '802.3ad',
        active_slave: 'eth1',
        miimon: 100,
        arp_ip_target: ['10.0.0.1', '10.0.0.2'],
        arp_validate: null,
        arp_all_targets: 'any',
        primary_reselect: 'better',
        fail_over_mac: 'none',
        xmit_hash_policy: 'layer3+4',
        ad_lacp_rate: 'fast',
        ad_select: 'stable',
        ad_info: {
          aggregator: 1,
          num_ports: 2,
          actor_key: 9,
          partner_key: 1,
          partner_mac: '02:00:00:00:00:01',
        },
        ad_actor_sys_prio: 65535,
      },
    });
    expect(slave!.linkinfo).toEqual({
      info_slave_kind: 'bond',
      info_slave_data: {
        state: 'ACTIVE',
        mii_status: 'UP',
        link_failure_count: 2,
        perm_hwaddr: '02:00:00:00:00:07',
        queue_id: 0,
        ad_actor_oper_port_state: 61,
        ad_actor_oper_port_state_str: ['active', 'aggregating', 'in_sync', 'collecting', 'distributing'],
        ad_partner_oper_port_state: 61,
        ad_partner_oper_port_state_str: ['active', 'aggregating', 'in_sync', 'collecting', 'distributing'],
      },
    });
  });

  test('a VRF and its port', () => {
    const [vrf, port] = printed(
      'link',
      { header: linkHeader, ifname: 'vrf-blue', linkinfo: { kind: 'vrf', data: { table: 100 } } },
      {
        header: linkHeader,
        ifname: 'eth0',
        master: 5,
        linkinfo: { slave_kind: 'vrf', slave_data: { table: 100 } },
      },
    );
    expect(vrf!.linkinfo).toEqual({ info_kind: 'vrf', info_data: { table: 100 } });
    expect(port).toMatchObject({
      master: 'vrf-blue',
      linkinfo: { info_slave_kind: 'vrf', info_slave_data: { table: 100 } },
    });
  });

  test('a VLAN link', () => {
    const [vlan] = printed('link', {
      header: linkHeader,
      ifname: 'eth0.10',
      link: 2,
      linkinfo: {
        kind: 'vlan',
        data: {
          protocol: 0x8100,
          id: 10,
          flags: { flags: 1 | 16, mask: 0xffffffff },
          egress_qos: { mapping: [{ from: 1, to: 5 }] },
        },
      },
    });
    expect(vlan).toMatchObject({
      link: 'eth0',
      ifname: 'eth0.10',
      linkinfo: {
        info_kind: 'vlan',
        info_data: {
          protocol: '802.1Q',
          id: 10,
          flags: ['REORDER_HDR', 'BRIDGE_BINDING'],
          egress_qos: [{ from: 1, to: 5 }],
        },
      },
    });
  });

  test('a tunnel has IP addresses where others have MACs', () => {
    const [tunnel] = printed('link', {
      header: { ...linkHeader, type: 768, flags: 0x10 },
      ifname: 'tunl0',
      address: '0a:00:00:01',
      broadcast: '0a:00:00:02',
    });
    expect(tunnel).toMatchObject({
      link_type: 'ipip',
      address: '10.0.0.1',
      link_pointtopoint: true,
      broadcast: '10.0.0.2',
    });
  });

  test('switch ports, names and XDP programs', () => {
    const [link] = printed('link', {
      header: linkHeader,
      ifname: 'swp1',
      xdp: { attached: 1, prog_id: 42, drv_prog_id: 42 },
      phys_switch_id: '0011aabb',
      phys_port_name: 'p1',
      parent_dev_name: '0000:03:00.0',
      parent_dev_bus_name: 'pci',
      prop_list: { alt_ifname: ['port-one', 'p-1'] },
      proto_down: 1,
      proto_down_reason: { value: 5 },
      stats64: { rx_packets: 2n ** 60n },
    });
    expect(link).toMatchObject({
      xdp: { mode: 1, prog: { id: 42 }, attached: [{ mode: 1, prog: { id: 42 } }] },
      phys_switch_id: '0011aabb',
      phys_port_name: 'p1',
      parentbus: 'pci',
      parentdev: '0000:03:00.0',
      altnames: ['port-one', 'p-1'],
      proto_down: true,
      proto_down_reason: ['0', '2'],
    });
  });
});

describe('virtual functions', () => {
  test('as ip prints them', () => {
    const mac = `020000000009${'00'.repeat(26)}`;
    const [link] = printed('link', {
      header: linkHeader,
      ifname: 'eth0',
      num_vf: 1,
      vfinfo_list: {
        info: [
          {
            mac: { vf: 3, mac },
            broadcast: { broadcast: `${'ff'.repeat(6)}${'00'.repeat(26)}` },
            vlan: { vf: 3, vlan: 7, qos: 2 },
            vlan_list: { info: [{ vf: 3, vlan: 7, qos: 2, vlan_proto: 0x88a8 }] },
            tx_rate: { vf: 3, rate: 100 },
            rate: { vf: 3, min_tx_rate: 10, max_tx_rate: 100 },
            spoofchk: { vf: 3, setting: 1 },
            link_state: { vf: 3, link_state: 2 },
            trust: { vf: 3, setting: -1 },
            rss_query_en: { vf: 3, setting: 0 },
          },
        ],
      },
    });
    expect(link!.vfinfo_list).toEqual([
      {
        vf: 3,
        link_type: 'ether',
        address: '02:00:00:00:00:09',
        broadcast: 'ff:ff:ff:ff:ff:ff',
        vlan_list: [{ vlan: 7, qos: 2, protocol: '802.1ad' }],
        tx_rate: 100,
        rate: { max_tx: 100, min_tx: 10 },
        spoofchk: true,
        link_state: 'disable',
        query_rss_en: false,
      },
    ]);
  });
});

describe('bridge vlan', () => {
  test('entries are grouped by port, ranges taken apart', () => {
    const rows = printed(
      'vlan',
      { header: { family: 7, ifindex: 3 }, entry: [{ info: { flags: 0, vid: 20 }, range: 22, state: 3 }] },
      { header: { family: 7, ifindex: 2 }, entry: [{ info: { flags: 6, vid: 1 }, state: 3 }] },
      { header: { family: 7, ifindex: 3 }, entry: [{ info: { flags: 4, vid: 10 }, state: 3 }] },
    );
    expect(rows).toEqual([
      {
        ifname: 'eth1',
        vlans: [
          { vlan: 10, flags: ['Egress Untagged'], state: 'forwarding' },
          { vlan: 20, state: 'forwarding' },
          { vlan: 21, state: 'forwarding' },
          { vlan: 22, state: 'forwarding' },
        ],
      },
      { ifname: 'eth0', vlans: [{ vlan: 1, flags: ['PVID', 'Egress Untagged'], state: 'forwarding' }] },
    ]);
  });
});

describe('filters', () => {
  const tcHeader = { family: 0, ifindex: 2, handle: 1, parent: 0xfffffff2, info: (10 << 16) | 0x0008 };
  const generic = { index: 1, capab: 0, action: 2, refcnt: 1, bindcnt: 1 };

  test('flower with its keys and actions', () => {
    const [filter] = printed('filter', {
      header: tcHeader,
      kind: 'flower',
      chain: 0,
      options: {
        key_eth_type: 0x0800,
        key_ip_proto: 6,
        key_eth_dst: '02:00:00:00:00:01',
        key_eth_dst_mask: 'ff:ff:ff:ff:ff:ff',
        key_eth_src: '02:00:00:00:00:00',
        key_eth_src_mask: 'ff:ff:00:00:00:00',
        key_ipv4_dst: '10.0.0.0',
        key_ipv4_dst_mask: '255.0.0.0',
        key_ipv4_src: '10.1.2.3',
        key_ipv4_src_mask: '255.255.255.255',
        key_tcp_dst: 443,
        key_tcp_dst_mask: 0xffff,
        key_tcp_src: 0x100,
        key_tcp_src_mask: 0xff00,
        key_tcp_flags: 2,
        key_tcp_flags_mask: 0x12,
        key_flags: 0,
        key_flags_mask: 1,
        key_ct_state: 8 | 2,
        key_ct_state_mask: 8 | 2 | 1,
        key_enc_key_id: 77,
        flags: 4,
        in_hw_count: 1,
        act: [
          {
            kind: 'vlan',
            options: {
              parms: { ...generic, action: 3, v_action: 2 },
              push_vlan_id: 100,
              push_vlan_protocol: 0x8100,
              push_vlan_priority: 3,
            },
          },
          {
            kind: 'mirred',
            options: { parms: { ...generic, action: 4, eaction: 1, ifindex: 3 } },
            cookie: 'abcd',
            used_hw_stats: { value: 2, selector: 3 },
          },
        ],
      },
    });
    expect(filter).toEqual({
      dev: 'eth0',
      ingress: true,
      protocol: 'ip',
      pref: 10,
      kind: 'flower',
      chain: 0,
      options: {
        handle: 1,
        keys: {
          dst_mac: '02:00:00:00:00:01',
          src_mac: '02:00:00:00:00:00/16',
          eth_type: 'ipv4',
          ip_proto: 'tcp',
          dst_ip: '10.0.0.0/8',
          src_ip: '10.1.2.3',
          dst_port: 443,
          src_port: 256,
          src_port_mask: 'ff00',
          tcp_flags: '0x2/12',
          enc_key_id: 77,
          ip_flags: { frag: false },
          ct_state: '+trk-new+est',
        },
        in_hw: true,
        in_hw_count: 1,
        actions: [
          {
            order: 1,
            kind: 'vlan',
            vlan_action: 'push',
            id: 100,
            protocol: '802.1Q',
            priority: 3,
            control_action: { type: 'pipe' },
            index: 1,
            ref: 1,
            bind: 1,
          },
          {
            order: 2,
            kind: 'mirred',
            mirred_action: 'redirect',
            direction: 'egress',
            to_dev: 'eth1',
            control_action: { type: 'stolen' },
            index: 1,
            ref: 1,
            bind: 1,
            cookie: 'abcd',
            used_hw_stats: ['delayed'],
          },
        ],
      },
    });
  });

  test('flower over IPv6, with ranges, labels and tunnel options', () => {
    const [filter] = printed('filter', {
      header: { ...tcHeader, parent: 0xfffffff3, info: (5 << 16) | 0xdd86 },
      kind: 'flower',
      options: {
        classid: 0x10002,
        key_eth_type: 0x86dd,
        key_ip_proto: 17,
        key_ipv6_dst: '2001:db8::',
        key_ipv6_dst_mask: 'ffff:ffff::',
        key_port_dst_min: 1000,
        key_port_dst_max: 2000,
        key_ip_ttl: 64,
        key_ip_ttl_mask: 0xff,
        key_mpls_opts: { lse: [{ depth: 1, label: 16 }] },
        key_enc_opts: { geneve: [{ class: 0x102, type: 0x80, data: '00112233' }] },
        key_enc_opts_mask: { geneve: [{ class: 0xffff, type: 0xff, data: 'ffffffff' }] },
        flags: 8,
      },
    });
    expect(filter).toMatchObject({
      egress: true,
      protocol: 'ipv6',
      options: {
        classid: '1:2',
        keys: {
          eth_type: 'ipv6',
          ip_proto: 'udp',
          ip_ttl: 64,
          mpls: [{ depth: 1, label: 16 }],
          dst_ip: '2001:db8::/32',
          dst_port: { start: 1000, end: 2000 },
          geneve_opt_key: [{ class: 258, type: 128, data: [0, 17, 34, 51] }],
          geneve_opt_mask: [{ class: 65535, type: 255, data: [255, 255, 255, 255] }],
        },
        not_in_hw: true,
      },
    });
  });

  test('matchall with every kind of action', () => {
    const [filter] = printed('filter', {
      header: { ...tcHeader, parent: 0x10000 },
      kind: 'matchall',
      options: {
        classid: 0x10001,
        flags: 1 | 8,
        act: [
          { kind: 'gact', options: { parms: generic, prob: { ptype: 1, pval: 5, paction: 0 } } },
          { kind: 'gact', options: { parms: { ...generic, action: 0x20000007 } } },
          {
            kind: 'tunnel_key',
            options: {
              parms: { ...generic, action: 3, t_action: 1 },
              enc_ipv4_src: '10.0.0.1',
              enc_ipv4_dst: '10.0.0.2',
              enc_key_id: 99,
              enc_dst_port: 4789,
              no_csum: 1,
              enc_ttl: 64,
              enc_opts: { vxlan: { gbp: 7 } },
            },
          },
          {
            kind: 'pedit',
            options: {
              parms_ex: {
                ...generic,
                nkeys: 1,
                flags: 0,
                keys: [{ mask: 0xffff0000, val: 0x1234, off: 4, at: 0, offmask: 0, shift: 0 }],
              },
              keys_ex: { key_ex: [{ htype: 1, cmd: 0 }] },
            },
          },
          {
            kind: 'police',
            options: {
              tbf: {
                index: 3,
                action: 2,
                limit: 0,
                burst: 15_625_000,
                mtu: 1500,
                rate: { rate: 125_000 },
                refcnt: 1,
                bindcnt: 1,
              },
              result: 0,
            },
          },
          { kind: 'skbedit', options: { parms: generic, priority: 0x10001, mark: 5, ptype: 0 } },
          { kind: 'csum', options: { parms: { ...generic, update_flags: 9 } } },
          {
            kind: 'ct',
            options: {
              parms: generic,
              action: 1 | 8 | 16,
              zone: 4,
              mark: 1,
              mark_mask: 0xff,
              nat_ipv4_min: '1.1.1.1',
              nat_ipv4_max: '1.1.1.9',
              nat_port_min: 1000,
              nat_port_max: 1000,
            },
          },
          {
            kind: 'mpls',
            options: { parms: { ...generic, m_action: 2 }, proto: 0x8847, label: 16, ttl: 64 },
          },
          { kind: 'sample', options: { parms: generic, rate: 100, psample_group: 5 } },
          { kind: 'bpf', options: { parms: generic, name: 'prog', id: 9, tag: '0011223344556677' } },
        ],
      },
    });
    const tail = { index: 1, ref: 1, bind: 1 };
    const drop = { control_action: { type: 'drop' }, ...tail };
    expect(filter).toMatchObject({ parent: '1:', kind: 'matchall' });
    expect(filter!.options).toEqual({
      handle: 1,
      flowid: '1:1',
      skip_hw: true,
      not_in_hw: true,
      actions: [
        {
          order: 1,
          kind: 'gact',
          control_action: { type: 'drop' },
          prob: { random_type: 'netrand', control_action: { type: 'pass' }, val: 5 },
          ...tail,
        },
        {
          order: 2,
          kind: 'gact',
          control_action: { type: 'goto', chain: 7 },
          prob: { random_type: 'none', control_action: { type: 'pass' }, val: 0 },
          ...tail,
        },
        {
          order: 3,
          kind: 'tunnel_key',
          mode: 'set',
          src_ip: '10.0.0.1',
          dst_ip: '10.0.0.2',
          key_id: 99,
          dst_port: 4789,
          vxlan_opts: [{ gbp: 7 }],
          flag: 'nocsum',
          ttl: 64,
          control_action: { type: 'pipe' },
          ...tail,
        },
        {
          order: 4,
          kind: 'pedit',
          control_action: { type: 'drop' },
          nkeys: 1,
          ...tail,
          keys: [{ htype: 'eth', offset: 4, cmd: 'set', val: '1234', mask: 'ffff0000' }],
        },
        {
          order: 5,
          kind: 'police',
          index: 3,
          rate: 125_000,
          burst: 125_000,
          mtu: 1500,
          control_action: { type: 'pass' },
          exceed_action: { type: 'drop' },
          overhead: 0,
          ref: 1,
          bind: 1,
        },
        { order: 6, kind: 'skbedit', priority: '1:1', mark: 5, ptype: 'host', ...drop },
        { order: 7, kind: 'csum', csum: 'iph, tcp', ...drop },
        {
          order: 8,
          kind: 'ct',
          action: 'commit',
          mark: 1,
          mark_mask: 'ff',
          zone: 4,
          nat: 'src addr 1.1.1.1-1.1.1.9 port 1000',
          ...drop,
        },
        { order: 9, kind: 'mpls', mpls_action: 'push', protocol: 'mpls_uc', label: 16, ttl: 64, ...drop },
        { order: 10, kind: 'sample', rate: 100, group: 5, ...drop },
        { order: 11, kind: 'bpf', bpf_name: 'prog', prog: { id: 9, tag: '0011223344556677' }, ...drop },
      ],
    });
  });

  test('actions by themselves', () => {
    expect(
      printed('action', {
        header: { family: 0 },
        tab: [{ kind: 'gact', options: { parms: generic } }],
      }),
    ).toMatchObject([{ actions: [{ order: 1, kind: 'gact', control_action: { type: 'drop' } }] }]);
  });
});

describe('queueing disciplines this kernel may lack', () => {
  const header = { family: 0, ifindex: 2, handle: 0x80010000, parent: 0xffffffff, info: 2 };

  test('fq_codel, prio, netem, mq', () => {
    expect(
      printed(
        'qdisc',
        {
          header,
          kind: 'fq_codel',
          options: {
            limit: 10240,
            flows: 1024,
            quantum: 1514,
            target: 4999,
            interval: 99999,
            memory_limit: 33554432,
            ecn: 1,
            drop_batch_size: 64,
          },
        },
        { header, kind: 'prio', options: { bands: 3, priomap: '01020202010200000101010101010101' } },
        {
          header,
          kind: 'netem',
          options: {
            latency: 1_562_500,
            limit: 1000,
            loss: 42949673,
            gap: 0,
            duplicate: 0,
            jitter: 0,
            rate: { rate: 1000, packet_overhead: 0, cell_size: 0, cell_overhead: 0 },
          },
        },
        { header, kind: 'mq', hw_offload: 1 },
      ).map((qdisc) => ({ offloaded: qdisc.offloaded, ...(qdisc.options as object) })),
    ).toEqual([
      {
        limit: 10240,
        flows: 1024,
        quantum: 1514,
        target: 4999,
        interval: 99999,
        memory_limit: 33554432,
        ecn: true,
        drop_batch: 64,
      },
      { bands: 3, priomap: [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], multiqueue: false },
      {
        limit: 1000,
        delay: { delay: 0.1, jitter: 0, correlation: 0 },
        'loss-random': { loss: 0.01, correlation: 0 },
        rate: { rate: 1000, packetoverhead: 0, cellsize: 0, celloverhead: 0 },
        ecn: false,
        gap: 0,
      },
      { offloaded: true },
    ]);
  });

  test('htb classes', () => {
    const rate = { cell_log: 3, linklayer: 1, rate: 125_000_000 };
    const [row] = printed('class', {
      header: { ...header, handle: 0x10010, parent: 0x10001, info: 0x100000 },
      kind: 'htb',
      options: {
        parms: { rate, ceil: rate, buffer: 156_250, cbuffer: 156_250, quantum: 1, level: 0, prio: 2 },
      },
    });
    expect(row).toEqual({
      class: 'htb',
      handle: '1:10',
      dev: 'eth0',
      parent: '1:1',
      leaf: '0x10',
      prio: 2,
      rate: 125_000_000,
      ceil: 125_000_000,
      burst: 1_250_000,
      cburst: 1_250_000,
    });
  });
});

describe('routes', () => {
  const header = { family: 2, dst_len: 16, table: 254, protocol: 186, scope: 0, type: 1 };

  test('what hardware did shows in the flags', () => {
    const [route] = printed('route', { header: { ...header, flags: 0x4000 | 0x8 }, dst: '10.1.0.0', oif: 2 });
    expect(route).toMatchObject({ protocol: 'bgp', flags: ['offload', 'rt_offload'] });
  });

  test('MPLS routes and encapsulation', () => {
    const [pushed, swapped] = printed(
      'route',
      {
        header,
        dst: '10.1.0.0',
        encap_type: 1,
        encap: { dst: '100/200', ttl: 9 },
        via: { family: 10, address: '2001:db8::1' },
        oif: 2,
      },
      {
        header: { family: 28, dst_len: 20, table: 254, protocol: 4, type: 1 },
        dst: '300',
        newdst: '400',
        via: { family: 2, address: '10.0.0.1' },
        multipath: [{ flags: 0, hops: 0, ifindex: 3, newdst: '500' }],
        ttl_propagate: 1,
      },
    );
    expect(pushed).toMatchObject({
      dst: '10.1.0.0/16',
      encap: 'mpls',
      encap_dst: '100/200',
      ttl: 9,
      via: { family: 'inet6', host: '2001:db8::1' },
    });
    expect(swapped).toMatchObject({
      dst: '300',
      to: '400',
      'ttl-propogate': true,
      nexthops: [{ to: '500', dev: 'eth1', flags: [] }],
    });
    expect((swapped!.nexthops as object[])[0]).not.toHaveProperty('weight');
  });

  test('a group with weights of 16 bits', () => {
    const [group] = printed('nexthop', {
      header: { family: 0 },
      id: 9,
      group: [
        { id: 1, weight: 255, weight_high: 0 },
        { id: 2, weight: 0, weight_high: 1 },
        { id: 3, weight: 0, weight_high: 0 },
      ],
    });
    expect(group!.group).toEqual([{ id: 1, weight: 256 }, { id: 2, weight: 257 }, { id: 3 }]);
  });
});

describe('netfilter', () => {
  test('attributes as they are, with the family by name', () => {
    expect(
      printed('nft-chain', {
        header: { family: 1 },
        table: 'filter',
        name: 'input',
        handle: 3,
        hook: { hooknum: 1, priority: 0 },
        type: 'filter',
      }),
    ).toEqual([
      {
        family: 'inet',
        table: 'filter',
        name: 'input',
        handle: 3,
        hook: { hooknum: 1, priority: 0 },
        type: 'filter',
      },
    ]);
  });
});

describe('stringify', () => {
  test('64-bit numbers keep their digits', () => {
    expect(stringify({ a: 18446744073709551615n, b: [1] })).toBe('{"a":18446744073709551615,"b":[1]}');
  });
});
