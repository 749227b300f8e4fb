# In a network namespace of its own, which is the pod's: a peer in another one, the init container's rules, a sidecar with its user,
# and calls by an application that knows of none. Prints what each call got. $PYTHON, $CONFIG and $RULES are given.
set -e
ip link set lo up
unshare -n sleep 120 &
peer=$!
trap 'kill $peer $server $sidecar 2>/dev/null' EXIT
until [ "$(readlink /proc/$peer/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add veth0 type veth peer name veth1 netns $peer
ip addr add 10.1.1.1/24 dev veth0
ip link set veth0 up
ip route add default via 10.1.1.2
nsenter -n -t $peer sh -c 'ip link set lo up; ip addr add 10.1.1.2/24 dev veth1; ip link set veth1 up'
nsenter -n -t $peer "$PYTHON" -c '
from http.server import BaseHTTPRequestHandler, HTTPServer
class Peer(BaseHTTPRequestHandler):
    def do_GET(self):
        said = self.headers.get("Host"), self.headers.get("x-gray-tag"), self.server.server_port
        body = "{} tag={} port={}".format(*said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
import threading
threading.Thread(target=HTTPServer(("10.1.1.2", 81), Peer).serve_forever, daemon=True).start()
HTTPServer(("10.1.1.2", 80), Peer).serve_forever()
' &
server=$!
# What a container with this capability alone may do.
printf %s "$RULES" | setpriv --bounding-set -all,+net_admin --inh-caps -all iptables-restore --noflush
setpriv --reuid 15081 --regid 15081 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search \
	"$PYTHON" -m gateway sidecar -c "$CONFIG" &
sidecar=$!
until curl -sf -o /dev/null http://127.0.0.1:15082/livez; do sleep 0.1; done
until nsenter -n -t $peer curl -s -o /dev/null http://10.1.1.2/; do sleep 0.1; done
call() {
	setpriv --reuid 1000 --regid 1000 --clear-groups curl -s -m 10 "$@" || printf 'curl ended with %s' $?
	echo
}
call -H 'Host: spring-cloud-b' http://10.96.0.7/   # a Service's address, behind which nobody is here
call -H 'Host: spring-cloud-b:8080' http://10.96.0.9:8080/
call -H 'Host: unknown' -o /dev/null -w '%{http_code}' http://10.96.0.7/
call http://10.1.1.2:81/                           # another port: untouched
call -m 1 http://198.51.100.1/                     # a public address: untouched, and nobody is there
