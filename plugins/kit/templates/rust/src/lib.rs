//! @NAME@, a plugin that routes: ports, router interfaces, nexthops, groups and routes, on the simulated switch ASIC
//! (docs/asic.md). To make it one for your hardware, replace the rows and the device functions it calls: asic::….
//!
//! It remembers no entries. An entry's slot comes from its handle (the host counts indexes from 0 to below the capacity), and the
//! cookie of its row is the handle, so after a restart `readback` tells the host all that the hardware still holds.
mod ekho;
use ekho::*;

const NO_SLOT: u32 = 0xffff_ffff;
const MEMBERS_MAX: u32 = 64;
/// The tables it uses, in the order of their kinds: routes have two.
const TABLES: [(AsicTable, Kind); 6] = [
    (AsicTable::PORT, Kind::PORT), (AsicTable::ROUTER_INTERFACE, Kind::ROUTER_INTERFACE), (AsicTable::NEXTHOP, Kind::NEXTHOP),
    (AsicTable::GROUP, Kind::GROUP), (AsicTable::LPM4, Kind::ROUTE), (AsicTable::LPM6, Kind::ROUTE),
];
const GROUPS: usize = 3;
#[derive(Default)]
struct Router {
    info: [AsicTableInfo; 6],
    epoch: u32,
}
ekho::export!(Router);

fn slot_of(kind: Kind, handle: Handle) -> u32 { if handle >> 28 == kind.0 as u32 + 1 { handle & 0x0fff_ffff } else { NO_SLOT } }
fn handle_of(kind: Kind, slot: u32) -> Handle { if slot == NO_SLOT { 0 } else { (kind.0 as u32 + 1) << 28 | slot } }
fn upper(value: u64) -> u32 { (value >> 32) as u32 }
fn wide(upper: u32, lower: u32) -> u64 { (upper as u64) << 32 | lower as u64 }
impl Plugin for Router {
    /// Who it is and what it can do: the host never asks for more.
    fn describe(&mut self) -> PluginDescription {
        let mut abilities: Vec<PluginAbility> = Vec::new();
        for (i, (table, kind)) in TABLES.into_iter().enumerate() {
            self.info[i] = asic::info(table);
            let capacity = self.info[i].capacity;
            match abilities.last_mut() {
                Some(last) if last.kind == kind => last.capacity += capacity,
                _ => abilities.push(PluginAbility { kind, capacity, update_in_place: true, counts: true, reads_back: true }),
            }
        }
        PluginDescription {
            vendor: "@NAME@".into(), name: "@NAME@".into(), version: "0.1.0".into(),
            abilities: abilities.into(), group_members: MEMBERS_MAX,
            reverse_path: true, vlan_interfaces: true, poll_interval: 200,
            ..Default::default()
        }
    }
    /// It has no settings of its own.
    fn configure(&mut self, settings: List<PluginSetting>) -> Result<(), String> {
        settings.first().map_or(Ok(()), |one| Err(format!("there is no setting {}", &*one.name)))
    }
    fn start(&mut self) -> Result<(), String> {
        self.epoch = asic::epoch();
        log::write(LogLevel::INFO, "started");
        Ok(())
    }
    fn stop(&mut self) {}
}

impl Router {
    /// One change: `row` as the ASIC wants it, its key behind the cookie. Adds an outcome when it was not plainly carried out.
    fn carry_out(&self, table: usize, operation: Operation, row: &[u32], outcomes: &mut Vec<Outcome>) {
        let info = self.info[table];
        let done = match operation {
            Operation::PUT => asic::write(TABLES[table].0, row),
            _ => asic::remove(TABLES[table].0, &row[1..1 + info.key_words as usize]),
        };
        let (status, reason) = match done.status {
            // Removing what is not there leaves nothing to do.
            AsicStatus::OK | AsicStatus::MISSING => return,
            // What may go well the next time has failed; the host asks again.
            AsicStatus::IO_ERROR => (Status::FAILED, Reason::DEVICE_ERROR),
            AsicStatus::POWERED_OFF => (Status::FAILED, Reason::DEVICE_OFF),
            AsicStatus::TABLE_FULL => (Status::REFUSED, Reason::TABLE_FULL),
            _ if table <= GROUPS && row[1] >= info.capacity => (Status::REFUSED, Reason::TABLE_FULL),
            _ => (Status::REFUSED, Reason::INVALID),
        };
        outcomes.push(Outcome { handle: row[0], status, reason, detail: done.status.0 as u32 });
    }
    /// A page is rows of one table; its cursor is the table in the upper 4 bits and the ASIC's own cursor below.
    fn next_rows(&self, read: fn(AsicTable, u32, u32) -> List<u32>, cursor: u32, limit: u32) -> (usize, u32, List<u32>) {
        let (mut table, mut position) = ((cursor >> 28) as usize, cursor & 0x0fff_ffff);
        loop {
            // Members of a group count as entries too.
            let most = if table == GROUPS { (limit / (1 + MEMBERS_MAX)).max(1) } else { limit };
            let rows = read(TABLES[table].0, position, most);
            let next = match rows[0] {
                0 if table + 1 == TABLES.len() => 0,
                0 => (table as u32 + 1) << 28,
                more => (table as u32) << 28 | more,
            };
            if rows.len() > 1 || next == 0 { return (table, next, rows); }
            (table, position) = (table + 1, 0);
        }
    }
}

impl Offload for Router {
    fn apply(&mut self, changes: Batch) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for it in &changes.ports {
            let (slot, flags) = (slot_of(Kind::PORT, it.handle), it.flags.0 as u32);
            let row = [it.handle, slot, it.ifindex, it.mtu, upper(it.mac), it.mac as u32, it.bridge, flags];
            self.carry_out(0, it.operation, &row, &mut outcomes);
        }
        for it in &changes.router_interfaces {
            let (slot, port) = (slot_of(Kind::ROUTER_INTERFACE, it.handle), slot_of(Kind::PORT, it.port));
            let mut row = vec![it.handle, slot, port, it.ifindex, it.vrf, upper(it.mac), it.mac as u32, it.mtu];
            row.extend([it.vlan as u32, it.flags.0 as u32]);
            self.carry_out(1, it.operation, &row, &mut outcomes);
        }
        for it in &changes.nexthops {
            let (slot, interface) = (slot_of(Kind::NEXTHOP, it.handle), slot_of(Kind::ROUTER_INTERFACE, it.router_interface));
            let mut row = vec![it.handle, slot, it.action.0 as u32, interface, it.family.0 as u32, it.ifindex];
            row.extend([it.gateway.high, it.gateway.low, it.destination_mac].map(|one| [upper(one), one as u32]).concat());
            self.carry_out(2, it.operation, &row, &mut outcomes);
        }
        for it in &changes.groups {
            let mut row = vec![it.handle, slot_of(Kind::GROUP, it.handle), it.id, it.count];
            let members = changes.members.iter().skip(it.first as usize).take(it.count.min(MEMBERS_MAX) as usize);
            row.extend(members.flat_map(|one| [slot_of(Kind::NEXTHOP, one.nexthop), one.weight]));
            row.resize(self.info[GROUPS].words as usize, 0);
            self.carry_out(GROUPS, it.operation, &row, &mut outcomes);
        }
        for it in &changes.routes {
            let Address { high, low } = it.prefix;
            let mut row = vec![it.handle, it.vrf, upper(high), high as u32, upper(low), low as u32];
            if it.family == Family::IPV4 { row.drain(2..5); }
            row.extend([it.prefix_length as u32, it.action.0 as u32, slot_of(Kind::GROUP, it.group)]);
            self.carry_out(4 + it.family.0 as usize, it.operation, &row, &mut outcomes);
        }
        outcomes
    }
    fn readback(&mut self, cursor: u32, limit: u32) -> OffloadPage {
        let (table, next, rows) = self.next_rows(asic::read, cursor, limit);
        let (rows, mut entries) = (rows[1..].chunks_exact(self.info[table].words as usize), Batch::default());
        match table {
            0 => entries.ports = rows.map(port).collect(),
            1 => entries.router_interfaces = rows.map(router_interface).collect(),
            2 => entries.nexthops = rows.map(nexthop).collect(),
            GROUPS => {
                entries.members = rows.clone().flat_map(members).collect();
                entries.groups = rows.map(|r| Group { handle: r[0], id: r[2], count: r[3], ..Default::default() }).collect();
                (0..entries.groups.len()).fold(0, |first, i| { entries.groups[i].first = first; first + entries.groups[i].count });
            }
            _ => entries.routes = rows.map(|r| route(r, table == 5)).collect(),
        }
        OffloadPage { next, entries }
    }
    /// The ASIC has one thing to say: that it lost its tables. The host then reads back and programs it again.
    fn poll(&mut self) -> Vec<Event> {
        let before = std::mem::replace(&mut self.epoch, asic::epoch());
        let reset = Event { event_type: EventType::DEVICE_RESET, ..Default::default() };
        if self.epoch == before { vec![] } else { vec![reset] }
    }
    fn tables(&mut self) -> Vec<TableUsage> {
        let info = TABLES.into_iter().map(|(table, kind)| (kind, asic::info(table)));
        info.map(|(kind, AsicTableInfo { capacity, used, .. })| TableUsage { kind, capacity, used }).collect()
    }
}

// Entries as their rows say; the operation means nothing in a readback.
fn port(r: &[u32]) -> Port {
    let (mac, flags) = (wide(r[4], r[5]), PortFlags(r[7] as u8));
    Port { handle: r[0], ifindex: r[2], mtu: r[3], mac, bridge: r[6], flags, ..Default::default() }
}
fn router_interface(r: &[u32]) -> RouterInterface {
    let (port, mac, flags) = (handle_of(Kind::PORT, r[2]), wide(r[5], r[6]), RouterInterfaceFlags(r[9] as u8));
    RouterInterface { handle: r[0], port, ifindex: r[3], vrf: r[4], mac, mtu: r[7], vlan: r[8] as u16, flags, ..Default::default() }
}
fn nexthop(r: &[u32]) -> Nexthop {
    let (action, family, router_interface) = (Action(r[2] as u8), Family(r[4] as u8), handle_of(Kind::ROUTER_INTERFACE, r[3]));
    let (gateway, destination_mac) = (Address { high: wide(r[6], r[7]), low: wide(r[8], r[9]) }, wide(r[10], r[11]));
    Nexthop { handle: r[0], action, router_interface, family, ifindex: r[5], gateway, destination_mac, ..Default::default() }
}
fn members(r: &[u32]) -> Vec<Member> {
    let member = |m: &[u32]| Member { group: r[0], nexthop: handle_of(Kind::NEXTHOP, m[0]), weight: m[1] };
    r[4..].chunks_exact(2).take(r[3] as usize).map(member).collect()
}
fn route(r: &[u32], v6: bool) -> Route {
    let (high, low) = if v6 { (wide(r[2], r[3]), wide(r[4], r[5])) } else { (0, r[2] as u64) };
    let (prefix, family, rest) = (Address { high, low }, Family(v6 as u8), &r[if v6 { 6 } else { 3 }..]);
    let (prefix_length, action, group) = (rest[0] as u8, Action(rest[1] as u8), handle_of(Kind::GROUP, rest[2]));
    Route { handle: r[0], vrf: r[1], family, prefix, prefix_length, action, group, ..Default::default() }
}

impl Stats for Router {
    fn collect(&mut self, cursor: u32, limit: u32) -> StatsPage {
        let (_, next, rows) = self.next_rows(asic::counters, cursor, limit);
        let wide = |r: &[u32], at: usize| wide(r[at + 1], r[at]);
        let counter = |r: &[u32]| Counter { handle: r[0], packets: wide(r, 1), bytes: wide(r, 3), last_used: wide(r, 5), ..Default::default() };
        StatsPage { next, counters: rows[1..].chunks_exact(7).map(counter).collect() }
    }
}

impl Notifier for Router {
    /// What happens in the kernel reaches the hardware as changes.
    fn notify(&mut self, _notices: List<Notice>) {}
}
