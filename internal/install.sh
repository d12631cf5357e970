#!/bin/sh
# Installs what the tests need and the machine lacks: in CI, or as root on Debian. Elsewhere it says
# what to do.
set -eu
packages=""
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
command -v redis-server >/dev/null || packages="$packages redis-server"
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || packages="$packages libfaketime"
command -v chromium >/dev/null || packages="$packages chromium"
command -v gcc >/dev/null || packages="$packages gcc libc6-dev"
command -v node >/dev/null || packages="$packages nodejs npm"
command -v systemd-analyze >/dev/null || packages="$packages systemd"
command -v slowhttptest >/dev/null || packages="$packages slowhttptest"
python3 -c 'import flask' 2>/dev/null || /usr/bin/python3 -c 'import flask' 2>/dev/null || packages="$packages python3-flask"
if [ -n "$packages" ]; then
	if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; }; then
		echo "missing:$packages. Install: apt-get update && apt-get install -y$packages" >&2
		exit 1
	fi
	$sudo apt-get update -qq
	# The tests start their own processes: no service of the system's.
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
# promtool alone, not the server and its service.
if ! command -v promtool >/dev/null; then
	if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; }; then
		echo "missing: promtool. Install: apt-get update && apt-get install -y --no-install-recommends prometheus" >&2
		exit 1
	fi
	[ -n "$packages" ] || $sudo apt-get update -qq
	unpacked=$(mktemp -d)
	chmod 755 "$unpacked"
	(cd "$unpacked" && apt-get download -qq prometheus >/dev/null 2>&1 && dpkg -x prometheus_*.deb .)
	$sudo install "$unpacked/usr/bin/promtool" /usr/local/bin/promtool
	rm -rf "$unpacked"
fi
# Varnish with its modules, as a CDN stands above a gateway: unpacked, without its service.
varnish=/usr/local/lib/varnish-for-tests
if ! [ -x $varnish/usr/sbin/varnishd ]; then
	if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; }; then
		echo "missing: varnish. Install: mkdir -p $varnish && cd $varnish && apt-get download varnish varnish-modules libvarnishapi3 && for d in *.deb; do dpkg -x \$d .; done" >&2
		exit 1
	fi
	[ -n "$packages" ] || $sudo apt-get update -qq
	unpacked=$(mktemp -d)
	chmod 755 "$unpacked"
	(cd "$unpacked" && apt-get download -qq varnish varnish-modules libvarnishapi3 >/dev/null 2>&1 && for d in *.deb; do dpkg -x "$d" .; done && rm ./*.deb)
	$sudo rm -rf $varnish
	$sudo cp -r "$unpacked" $varnish
	rm -rf "$unpacked"
fi
# Postgres, as a database of the platform: unpacked, without its service.
postgres=/usr/local/lib/postgres-for-tests
if ! ls $postgres/usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
	version=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
	version=${version:-postgresql-15}
	if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; }; then
		echo "missing: Postgres. Install: mkdir -p $postgres && cd $postgres && apt-get download $version libpq5 && for d in *.deb; do dpkg -x \$d .; done" >&2
		exit 1
	fi
	[ -n "$packages" ] || $sudo apt-get update -qq
	# Its libraries, where they are not there already.
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $(apt-cache depends "$version" | sed -n 's/.*Depends: \(lib[a-z0-9.+-]*\)$/\1/p' | grep -v llvm) >/dev/null
	unpacked=$(mktemp -d)
	chmod 755 "$unpacked"
	(cd "$unpacked" && apt-get download -qq "$version" libpq5 >/dev/null 2>&1 && for d in *.deb; do dpkg -x "$d" .; done && rm ./*.deb)
	$sudo rm -rf $postgres
	$sudo cp -r "$unpacked" $postgres
	rm -rf "$unpacked"
fi
cd "$(dirname "$0")/.."
for folder in conformance docs/recipes/json-server docs/recipes/mcp docs/recipes/graphql web; do
	cmp -s $folder/package-lock.json $folder/node_modules/.lock && continue
	if [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; then
		echo "npm packages are missing. Install: (cd $folder && npm install --no-save && cp package-lock.json node_modules/.lock)" >&2
		exit 1
	fi
	# Not npm ci: it refuses a lock file that lacks a package of another system, which a registry that
	# does not have it cannot put there. install takes the versions of the lock file all the same.
	(cd $folder && npm install --no-save --silent && cp package-lock.json node_modules/.lock)
done
