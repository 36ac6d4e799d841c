#!/bin/sh
# bootshare @VERSION@
# present since @STAMP@
#
# Installed by 'bootshare hook install'; do not edit. libvirt calls this for every QEMU domain, as root for those of the
# machine, and as a user for those of that user's own daemon (qemu:///session):
#
#     bootshare NAME OPERATION SUB-OPERATION EXTRA        with the domain's XML on standard input
#
# It lets everything but bootshare's own guests pass in a few milliseconds, and hands those to a program. Only *prepare*
# may fail, for that refuses the start; a *reconnect* that fails would kill a running guest. What *restore* prints would
# replace the guest's definition, so nothing is ever printed to standard output. https://libvirt.org/hooks.html
umask 077
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset NODE_OPTIONS NODE_PATH

case "$2 $3" in
'prepare begin' | 'started begin' | 'release end' | 'restore begin') ;;
*) exit 0 ;;
esac

xml=$(cat)
case $xml in
*'@NAMESPACE@'*) ;;
*) exit 0 ;;
esac

node=@NODE@
program=@PROGRAM@
if [ -x "$node" ] && [ -r "$program" ]; then
    # $PPID is libvirt's daemon: the program uses it to tell which *restore* a *prepare* belongs to.
    printf '%s\n' "$xml" | "$node" "$program" "$2" "$3" "$PPID" "${4:--}" >/dev/null && exit 0
elif [ "$(id -u)" != 0 ]; then
    # A user who may not run what root installed: bootshare does the hook's work itself then, before it starts a guest.
    exit 0
elif [ "$2" = prepare ]; then
    echo "bootshare: The hook's program ($node $program) is missing, so no kernel can be chosen. Run 'bootshare hook install'." >&2
fi
[ "$2" != prepare ]
