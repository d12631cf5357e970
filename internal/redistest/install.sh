#!/bin/sh
# Installs what the tests need and the machine lacks: in CI, or as root on Debian. Elsewhere it says
# what to do.
set -eu
command -v redis-server >/dev/null && exit 0
install="apt-get update && apt-get install -y redis-server"
if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || [ "${CI:-}" = true ]; }; then
	sudo=""
	[ "$(id -u)" = 0 ] || sudo=sudo
	$sudo apt-get update -qq
	# The tests start their own processes: no service of the system's.
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends redis-server >/dev/null
	exit 0
fi
echo "redis-server is missing. Install it: $install" >&2
exit 1
