#!/bin/sh
# Runs in a guest, as root: 'bootshare upgrade' hands it to sh on standard input, so every guest has the one of its host.
#
#     check    brings apt's lists up to date. Exit code 0: there is nothing to upgrade, 3: there is
#     upgrade  upgrades everything, and shows what apt prints. Exit code 0: done
#
# 11: the lists could not be brought up to date, 12: apt or dpkg failed, 13: what upgrades was ended. The last line of output
# says so as well. apt itself runs in a unit of its own, so that it outlives the connection; who comes again looks on.
set -eu

UNIT=bootshare-upgrade
RUN=/run/$UNIT

# What the unit does, with RUN as its argument.
# shellcheck disable=SC2016
work='
set -u
RUN=$1
exec >>"$RUN.log" 2>&1 </dev/null
finish() { echo "$1" >"$RUN.code.new"; mv "$RUN.code.new" "$RUN.code"; exit 0; }
apt() { apt-get -q -y -o DPkg::Lock::Timeout=1800 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"; }
# Half an hour: a drain may have taken longer than lists are good for.
[ -n "$(find "$RUN.lists" -mmin -30 2>/dev/null)" ] || apt -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update || finish 11
# What an interrupted run has left.
dpkg --configure -a || finish 12
# Kernels that apt would remove by itself make room in /boot for the next one.
apt purge "?and(?garbage,?name(^linux-image-))" || finish 12
apt full-upgrade || finish 12
finish 0
'

lists() {
	# Other programs (apt-daily) hold the lists for moments, and mirrors have their own.
	for wait in 10 30 0; do
		if apt-get -q -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update; then
			: >"$RUN.lists"
			return
		fi
		sleep "$wait"
	done
	echo "bootshare: apt-get update failed"
	exit 11
}

check() {
	lists
	if [ -n "$(dpkg --audit)" ]; then exit 3; fi
	if ! planned=$(apt-get -q -s full-upgrade); then
		echo "bootshare: apt-get full-upgrade would fail"
		exit 12
	fi
	printf '%s\n' "$planned"
	if printf '%s\n' "$planned" | grep -Eq '^(Inst|Remv) '; then exit 3; fi
}

upgrade() {
	if ! systemctl --quiet is-active "$UNIT.service"; then
		rm -f "$RUN.code"
		: >"$RUN.log"
		systemd-run --quiet --collect --unit="$UNIT.service" --setenv=DEBIAN_FRONTEND=noninteractive \
			--setenv=APT_LISTCHANGES_FRONTEND=none --setenv=NEEDRESTART_SUSPEND=1 --setenv=LC_ALL=C.UTF-8 \
			-- /bin/sh -c "$work" upgrade "$RUN"
	fi
	pid=$(systemctl show --property=MainPID --value "$UNIT.service")
	if [ "${pid:-0}" != 0 ]; then
		tail -n +1 -f --pid="$pid" "$RUN.log"
	else
		cat "$RUN.log"
	fi
	code=13
	if [ -e "$RUN.code" ]; then code=$(cat "$RUN.code"); fi
	case $code in
	0) return ;;
	11) echo "bootshare: apt-get update failed" ;;
	12) echo "bootshare: apt-get or dpkg failed" ;;
	*) echo "bootshare: the upgrade was ended before it was through" ;;
	esac
	exit "$code"
}

case ${1-} in
check) check </dev/null ;;
upgrade) upgrade </dev/null ;;
*) exit 2 ;;
esac
