# What the kernel's selftests of netdevsim meet in its place: a port of type ekho, whose switch is the device. bash reads this before
# each script (BASH_ENV); of the scripts themselves only the folders of netdevsim are changed, to those below.
#
# - Who writes to `new_device` gets nothing yet: a switch is of the namespace that its ports are in, so the port is made where the
#   script moves the device to.
# - Ports stay where they are when a switch is reloaded: what was set counts after `fw_activate`, and there is no `driver_reinit`.
# - The device's name is the one that devlink has for the switch, and its folder the one in debugfs.
netdevsim=/run/netdevsim
mkdir -p $netdevsim/bus/devices/netdevsim1337/net $netdevsim/kernel/debug

modprobe() { :; }

devlink() {
  if [[ "$1 $2 $3 $4" == 'dev reload netdevsim/netdevsim1337 netns' ]]; then
    ip link add sim0 netns "$5" type ekho || return
    netdevsim_handle=$(command devlink -j -N "$5" dev show | jq -r '.dev | keys[0]')
    ln -sfn "/sys/kernel/debug/ekho/${netdevsim_handle#platform/}" $netdevsim/kernel/debug/netdevsim1337
    return
  fi
  local words=("${@/#netdevsim\/netdevsim1337/$netdevsim_handle}")
  if [[ " $* " == *' dev reload '* ]]; then words+=(action fw_activate); fi
  command devlink "${words[@]}"
}
