#!/bin/sh
# First process of a lab guest with systemd: makes the root writable in memory and goes on as systemd, which starts what runs the
# commands that the machine sends.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t tmpfs -o size=70% tmpfs /run
mkdir -p /run/guest /run/root/upper /run/root/work
mount -t overlay -o lowerdir=/,upperdir=/run/root/upper,workdir=/run/root/work overlay /run/guest
cd /run/guest || exit 1
# systemd leaves alone what is mounted already.
mount -t tmpfs -o mode=755,size=20% tmpfs run
mkdir -p run/lab run/systemd/system/multi-user.target.wants
mount --move /mnt run/lab
cat >run/systemd/system/lab.service <<'UNIT'
[Unit]
Description=Commands of the machine

[Service]
Type=idle
Environment=HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin EKHO_LAB=1
WorkingDirectory=/root
ExecStart=/bin/sh /run/lab/commands.sh
UNIT
ln -s ../lab.service run/systemd/system/multi-user.target.wants/lab.service
umount /proc
mount --move . /
exec chroot . /sbin/init
