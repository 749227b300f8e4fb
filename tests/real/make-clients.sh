#!/bin/sh
# Gets the clients that the tests marked `real` use (Nacos', and gRPC's interoperability tests with their servers), and builds the
# Spring chain, with their ordinary package managers, into a cache folder outside the checkout: once, some minutes. What there is no
# toolchain for is said, and left out.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${GRAY_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/gray-gateway/clients}
mkdir -p "$folder"

make_one() {  # NAME TOOL COMMAND…: in a folder of its own, which is renamed when it is whole
	name=$1 tool=$2
	shift 2
	[ -d "$folder/$name" ] && { echo "$name: there already"; return; }
	command -v "$tool" >/dev/null 2>&1 || { echo "$name is not made: \`$tool\` is missing" >&2; return; }
	echo "$name: into $folder …"
	rm -rf "$folder/$name.new"
	mkdir "$folder/$name.new"
	( cd "$folder/$name.new" && "$@" ) && mv "$folder/$name.new" "$folder/$name"
}

python_sdk() { python3 -m venv . && bin/pip install -q --disable-pip-version-check "nacos-sdk-python$1"; }
java_sdk() {
	cp "$here/clients/java/pom.xml" . && mvn -q -B dependency:copy-dependencies "-Dnacos.version=$1" -DoutputDirectory=lib
	javac -cp 'lib/*' -d out "$here/clients/java/Client.java"
}
go_sdk() { cp "$here"/clients/go/* . && go mod tidy && go build -o client . ; }
go_sdk_1() {  # the same program: it differs in one type
	sed -e 's#nacos-sdk-go/v2/#nacos-sdk-go/#' -e 's/seen \[\]model.Instance/seen []model.SubscribeService/' \
		"$here/clients/go/main.go" >main.go
	sed 's#nacos-sdk-go/v2 .*#nacos-sdk-go v1.1.4#' "$here/clients/go/go.mod" >go.mod
	go mod tidy && go build -o client .
}
node_sdk() { cp "$here"/clients/node/* . && npm install --silent; }
grpc_go() {
	cp "$here"/clients/grpcgo/* . && go mod tidy
	go build -o client google.golang.org/grpc/interop/client && go build -o server google.golang.org/grpc/interop/server
}
grpc_java() { cp "$here"/clients/grpcjava/* . && mvn -q -B dependency:copy-dependencies -DoutputDirectory=lib; }
spring() { cp -r "$here"/spring/* . && mvn -q -B package && mvn -q -B package -Pmicrometer; }
spring_gateway() { cp -r "$here"/springgateway/* . && mvn -q -B package; }

make_one sdk-python-3 python3 python_sdk '>=3,<4'
make_one sdk-python-2 python3 python_sdk '>=2,<3'
make_one sdk-python-0.1 python3 python_sdk '<0.2'
make_one sdk-java-3 mvn java_sdk 3.1.0
make_one sdk-java-2 mvn java_sdk 2.3.2
make_one sdk-java-1 mvn java_sdk 1.4.7
make_one sdk-go-2 go go_sdk
make_one sdk-go-1 go go_sdk_1
make_one sdk-node npm node_sdk
make_one grpc-go go grpc_go
make_one grpc-java mvn grpc_java
make_one spring mvn spring
make_one spring-gateway mvn spring_gateway
