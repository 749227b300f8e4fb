#!/bin/sh
# Builds the real registries that the tests marked `real` use, with their ordinary package clients, into a cache folder
# outside the checkout: Consul with Go (5 minutes, once), r-nacos with cargo (10 minutes, once).
set -eu

folder=${GRAY_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/gray-gateway/servers}
mkdir -p "$folder/bin"
missing=0

has() {  # PROGRAM NAME: is it there already?
	path=$(PATH="$PATH:$folder/bin" command -v "$1" 2>/dev/null) || return 1
	echo "$2: there already, $path"
}

needs() {  # TOOL NAME WHERE: says what toolchain is missing
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "$2 is not built: \`$1\` is missing; install $3" >&2
	missing=1
	return 1
}

if ! has consul "Consul" && needs go "Consul 1.20.1" "Go 1.22 or later, https://go.dev/dl/"; then
	echo "Consul 1.20.1: building into $folder, about 5 minutes, once …"
	build=$(mktemp -d)
	trap 'chmod -R u+w "$build"; rm -rf "$build"' EXIT
	(
		cd "$build"
		go mod init tools
		go get -tool github.com/hashicorp/consul@v1.20.1
		go build -v -trimpath -ldflags '-s -w' -o consul github.com/hashicorp/consul
	) 2>&1 | awk '/error|cannot|failed|missing/ { print "  " $0; fflush(); next }
		{ n++; if (n % 50 == 0) { printf "  … %d packages so far: %s\n", n, $0; fflush() } }'
	mv "$build/consul" "$folder/bin/consul"  # last, and whole: an interrupted build leaves none
	echo "Consul 1.20.1: $folder/bin/consul"
fi

if ! has rnacos "r-nacos" && needs cargo "r-nacos 0.8.8" "Rust, https://rustup.rs/"; then
	echo "r-nacos 0.8.8: building into $folder, about 10 minutes, once …"
	cargo install rnacos --version 0.8.8 --locked --root "$folder"
	echo "r-nacos 0.8.8: $folder/bin/rnacos"
fi
exit $missing
