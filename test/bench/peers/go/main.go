// SPDX-License-Identifier: Apache-2.0

// A mirror of one kind on vishvananda/netlink: subscribes, lists, then applies what arrives; a subscription that failed is made again, with
// a new list. Prints "listed" when the first list is in, answers each line of its input with "rows N",
// those by a gateway if the line is one.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
)

const (
	rtmDelLink, rtmDelRoute, rtmDelNeigh = 17, 25, 29
	mainTable                            = 254
	bridgeFamily                         = 7
	waiting                              = 65536
)

type key struct {
	priority, tos, link int
	address             string
}

type mirror struct {
	sync.Mutex
	objects map[key]interface{}
}

func routeKey(route *netlink.Route) key {
	address := "default"
	if route.Dst != nil {
		address = route.Dst.String()
	}
	return key{route.Priority, route.Tos, 0, address}
}

func neighKey(neigh *netlink.Neigh) key {
	if neigh.Family == bridgeFamily {
		return key{0, neigh.Vlan, neigh.LinkIndex, neigh.HardwareAddr.String()}
	}
	return key{0, 0, neigh.LinkIndex, neigh.IP.String()}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
}

func (m *mirror) set(at key, object interface{}, gone bool) {
	m.Lock()
	if gone {
		delete(m.objects, at)
	} else {
		m.objects[at] = object
	}
	m.Unlock()
}

// Until the subscription ends.
func (m *mirror) routes(family int, listed func()) {
	updates := make(chan netlink.RouteUpdate, waiting)
	check(netlink.RouteSubscribe(updates, nil))
	list, err := netlink.RouteList(nil, family)
	check(err)
	for at := range list {
		m.set(routeKey(&list[at]), list[at], false)
	}
	listed()
	for update := range updates {
		isSix := update.Dst != nil && update.Dst.IP.To4() == nil
		if update.Table == mainTable && isSix == (family == netlink.FAMILY_V6) {
			m.set(routeKey(&update.Route), update.Route, update.Type == rtmDelRoute)
		}
	}
}

func (m *mirror) neighs(family int, listed func()) {
	updates := make(chan netlink.NeighUpdate, waiting)
	check(netlink.NeighSubscribe(updates, nil))
	list, err := netlink.NeighList(0, family)
	check(err)
	for at := range list {
		m.set(neighKey(&list[at]), list[at], false)
	}
	listed()
	for update := range updates {
		if update.Family == family {
			m.set(neighKey(&update.Neigh), update.Neigh, update.Type == rtmDelNeigh)
		}
	}
}

func (m *mirror) links(listed func()) {
	updates := make(chan netlink.LinkUpdate, waiting)
	check(netlink.LinkSubscribe(updates, nil))
	list, err := netlink.LinkList()
	check(err)
	for _, link := range list {
		m.set(key{link: link.Attrs().Index}, link, false)
	}
	listed()
	for update := range updates {
		m.set(key{link: int(update.Index)}, update.Link, update.Header.Type == rtmDelLink)
	}
}

func (m *mirror) follow(kind string) {
	var once sync.Once
	listed := func() { once.Do(func() { fmt.Println("listed") }) }
	for {
		m.Lock()
		m.objects = make(map[key]interface{})
		m.Unlock()
		switch kind {
		case "route4":
			m.routes(netlink.FAMILY_V4, listed)
		case "route6":
			m.routes(netlink.FAMILY_V6, listed)
		case "neighbour":
			m.neighs(netlink.FAMILY_V4, listed)
		case "fdb":
			m.neighs(bridgeFamily, listed)
		case "link":
			m.links(listed)
		}
	}
}

// All objects, or routes by the gateway only.
func (m *mirror) count(gateway net.IP) int {
	if gateway == nil {
		return len(m.objects)
	}
	by := 0
	for _, object := range m.objects {
		if route, isRoute := object.(netlink.Route); isRoute && route.Gw.Equal(gateway) {
			by++
		}
	}
	return by
}

func main() {
	m := &mirror{}
	go m.follow(os.Args[1])
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		m.Lock()
		fmt.Println("rows", m.count(net.ParseIP(input.Text())))
		m.Unlock()
	}
}
