#!/bin/sh
# First process of a lab guest: makes root and checkout writable in memory, then runs the commands the machine sends.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=dumb LANG=C.UTF-8

if [ "$1" != inside ]; then
  # The checkout is where it is on the machine, so that paths mean the same.
  checkout=$1
  mount -t proc proc /proc
  mount -t tmpfs -o size=70% tmpfs /run
  mkdir -p /run/guest /run/root/upper /run/root/work /run/checkout/upper /run/checkout/work
  modprobe overlay
  mount -t overlay -o lowerdir=/,upperdir=/run/root/upper,workdir=/run/root/work overlay /run/guest
  cd /run/guest || exit 1
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t devtmpfs devtmpfs dev
  mkdir -p dev/pts dev/shm
  mount -t devpts devpts dev/pts
  mount -t tmpfs tmpfs dev/shm
  mount -t tmpfs tmpfs run
  mount -t tmpfs tmpfs tmp
  # After /tmp and /run: the checkout may lie in either.
  mkdir -p "/run/guest$checkout"
  mount -t overlay -o "lowerdir=/checkout,upperdir=/run/checkout/upper,workdir=/run/checkout/work" \
    overlay "/run/guest$checkout"
  mkdir -p /run/modules/lower /run/modules/foreign /run/modules/upper /run/modules/work
  mount -t virtiofs -o ro modules /run/modules/lower
  # For another architecture than the machine's.
  mount -t virtiofs -o ro foreign /run/modules/foreign 2>/dev/null
  mount -t overlay -o lowerdir=/run/modules/foreign:/run/modules/lower,upperdir=/run/modules/upper,workdir=/run/modules/work \
    overlay "/run/guest$checkout/node_modules"
  mount -t securityfs securityfs sys/kernel/security
  mount -t bpf bpf sys/fs/bpf
  mount -t tracefs tracefs sys/kernel/tracing
  mkdir -p run/lab run/cache root
  mount -t virtiofs exchange run/lab
  mount -t virtiofs cache run/cache
  exec chroot . /bin/sh "$checkout/test/lab/init.sh" inside "$checkout"
fi

checkout=$2
cd "$checkout" || exit 1
export PATH="$checkout/node_modules/.bin:$PATH" EKHO_LAB=1
export XDG_CACHE_HOME=/run/cache
echo lab >/proc/sys/kernel/hostname
ip link set lo up

exec /bin/sh test/lab/commands.sh
