#!/bin/sh
# Builds the real registries that the tests marked `real` use, with their ordinary package clients, into a cache folder
# outside the checkout: Consul with Go (5 minutes, once), r-nacos with cargo (10 minutes, once), Nacos with Maven (a minute,
# once), the control plane of Kubernetes with Go (10 minutes, 5 GB of caches, once), Helm with Go (4 minutes, once), the
# conformance tests of the Gateway API (5 minutes, once), h2spec, which tests servers of HTTP/2, with Go
# (a minute, once), and, to look at traces, Jaeger with Go (10 minutes, once).
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

if ! has jaeger "Jaeger" && needs go "Jaeger 1.62.0" "Go 1.22 or later, https://go.dev/dl/"; then
	echo "Jaeger 1.62.0: building into $folder, about 10 minutes, once …"
	build=$(mktemp -d)
	trap 'rm -rf "$build"' EXIT
	(
		cd "$build"
		export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
		source=$(go env GOMODCACHE)/github.com/jaegertracing/jaeger@v1.62.0
		go mod download github.com/jaegertracing/jaeger@v1.62.0
		# It replaces a module, which `go install` of a version does not allow: so this module requires what it requires.
		sed -E 's#^module .*#module tools#' "$source/go.mod" >go.mod
		echo 'require github.com/jaegertracing/jaeger v1.62.0' >>go.mod
		cp "$source/go.sum" .
		chmod u+w go.sum
		nice go build -mod=mod -trimpath -ldflags '-s -w' -o jaeger github.com/jaegertracing/jaeger/cmd/all-in-one
	)
	mv "$build/jaeger" "$folder/bin/jaeger"
	echo "Jaeger 1.62.0: $folder/bin/jaeger"
fi

if ! has rnacos "r-nacos" && needs cargo "r-nacos 0.8.8" "Rust, https://rustup.rs/"; then
	echo "r-nacos 0.8.8: building into $folder, about 10 minutes, once …"
	cargo install rnacos --version 0.8.8 --locked --root "$folder"
	echo "r-nacos 0.8.8: $folder/bin/rnacos"
fi

here=$(cd "$(dirname "$0")" && pwd)
if [ -d "$folder/nacos" ]; then
	echo "Nacos: there already, $folder/nacos"
elif needs mvn "Nacos 2.2.4" "Maven and a JDK of version 17 or later"; then
	echo "Nacos 2.2.4: into $folder, about a minute, once …"
	rm -rf "$folder/nacos.new"
	mkdir "$folder/nacos.new"
	(
		cd "$folder/nacos.new"
		cp "$here"/nacos/* .
		mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib
		javac -cp 'lib/*' -d out NacosServer.java
	)
	mv "$folder/nacos.new" "$folder/nacos"
	echo "Nacos 2.2.4: $folder/nacos"
fi

h2spec=v2.2.1+incompatible
if ! has h2spec "h2spec" && needs go "h2spec" "Go 1.22 or later, https://go.dev/dl/"; then
	echo "h2spec: building into $folder, a minute, once …"
	build=$(mktemp -d)
	trap 'rm -rf "$build"' EXIT
	(
		cd "$build"
		go mod init tools
		go get -tool "github.com/summerwind/h2spec/cmd/h2spec@$h2spec"
		go build -trimpath -ldflags '-s -w' -o h2spec github.com/summerwind/h2spec/cmd/h2spec
	) 2>&1 | sed 's/^/  /'
	mv "$build/h2spec" "$folder/bin/h2spec"
	echo "h2spec: $folder/bin/h2spec"
fi

kubernetes=1.37.2
if [ -x "$folder/bin/kwok" ]; then  # the last one that is built
	echo "Kubernetes: there already, in $folder/bin"
elif needs go "Kubernetes $kubernetes" "Go 1.26 or later, https://go.dev/dl/"; then
	echo "Kubernetes $kubernetes: building into $folder, about 10 minutes, once …"
	build=$(mktemp -d)
	trap 'rm -rf "$build"' EXIT
	(
		cd "$build"
		export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
		modules=$(go env GOMODCACHE)
		go mod download "k8s.io/kubernetes@v$kubernetes"
		# Its own modules are at v0.0.0 in its go.mod, and replaced by folders: published, they have its minor version.
		awk '/^replace/ { exit } 1' "$modules/cache/download/k8s.io/kubernetes/@v/v$kubernetes.mod" |
			sed -E "s#^module .*#module tools#; s#(k8s.io/[a-z-]+) v0\.0\.0\$#\1 v0.${kubernetes#1.}#" >go.mod
		echo "require k8s.io/kubernetes v$kubernetes" >>go.mod
		cp "$modules/k8s.io/kubernetes@v$kubernetes/go.sum" .
		chmod u+w go.sum
		go get sigs.k8s.io/kwok@v0.8.0
		flags='-s -w'
		for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
			flags="$flags -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=37"
		done
		for program in k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
			k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3 \
			sigs.k8s.io/kwok/cmd/kwok; do
			echo "  … $program"
			nice go build -mod=mod -trimpath -ldflags "$flags" -o "$build/bin/" "$program"
		done
		mv bin/server bin/etcd  # Debian's etcd 3.4 is too old for it
	)
	for program in kube-apiserver kube-controller-manager kube-scheduler kubectl etcd kwok; do
		mv "$build/bin/$program" "$folder/bin/$program"
	done
	echo "Kubernetes $kubernetes: $folder/bin"
fi

if ! has helm "Helm" && needs go "Helm 4.3.2" "Go 1.26 or later, https://go.dev/dl/"; then
	echo "Helm 4.3.2: building into $folder, about 4 minutes, once …"
	build=$(mktemp -d)
	trap 'chmod -R u+w "$build"; rm -rf "$build"' EXIT
	(
		cd "$build"
		export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
		go mod init tools
		go get -tool helm.sh/helm/v4/cmd/helm@v4.3.2
		nice go build -trimpath -ldflags '-s -w' -o helm helm.sh/helm/v4/cmd/helm
	)
	mv "$build/helm" "$folder/bin/helm"
	echo "Helm 4.3.2: $folder/bin/helm"
fi

gateway_api=1.6.3  # the last one that is built by Go 1.26
definitions=$folder/gateway-api-$gateway_api.yaml
if [ -f "$definitions" ] && [ -x "$folder/bin/gateway-api-conformance" ]; then
	echo "Gateway API: there already, $definitions"
elif needs go "Gateway API $gateway_api" "Go 1.26 or later, https://go.dev/dl/"; then
	echo "Gateway API $gateway_api: definitions, and building its conformance tests into $folder, about 5 minutes, once …"
	build=$(mktemp -d)
	trap 'rm -rf "$build"' EXIT
	(
		cd "$build"
		export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
		go mod init tools
		go get "sigs.k8s.io/gateway-api@v$gateway_api"
		go get -t "sigs.k8s.io/gateway-api/conformance@v$gateway_api"
		modules=$(go env GOMODCACHE)/sigs.k8s.io
		nice go build -mod=mod -trimpath -ldflags '-s -w' -o echo sigs.k8s.io/gateway-api/conformance/echo-basic
		nice go test -mod=mod -c -trimpath -ldflags '-s -w' -o tests sigs.k8s.io/gateway-api/conformance
		for file in "$modules/gateway-api@v$gateway_api"/config/crd/standard/*.yaml; do
			echo "---"
			cat "$file"
		done >definitions
	)
	mv "$build/echo" "$folder/bin/gateway-api-echo"
	mv "$build/tests" "$folder/bin/gateway-api-conformance"
	mv "$build/definitions" "$definitions"
	echo "Gateway API $gateway_api: $definitions"
fi
exit $missing
