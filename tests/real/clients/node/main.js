// nacos-sdk-nodejs, over HTTP: what every client of these tests does, in this order (see test_nacos_clients.py).
const { NacosNamingClient, NacosConfigClient } = require("nacos");
const [address, username, password] = process.argv.slice(2);
const silent = { info() {}, warn() {}, debug() {}, error: (e) => process.stderr.write(`${e}\n`), write() {} };
const say = (line) => process.stdout.write(`> ${line}\n`);
const shown = (one) => `${one.ip}:${one.port} ${one.metadata["gray.tag"]}`;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

(async () => {
  const naming = new NacosNamingClient({ serverList: address, namespace: "public", username, password, logger: silent });
  await naming.ready();
  const pushed = new Promise((done) => naming.subscribe("orders", (seen) => seen.length && done(seen[0])));
  const one = { ip: "10.0.0.1", port: 8080, metadata: { "gray.tag": "gray" } };
  await naming.registerInstance("orders", one);
  say("registered");
  say(`pushed ${shown(await pushed)}`);
  say(`listed ${shown((await naming.getAllInstances("orders", "DEFAULT_GROUP", "", false))[0])}`);
  const config = new NacosConfigClient({ serverAddr: address, username, password });
  say(`published ${await config.publishSingle("demo", "G", "one")}`);
  say(`read ${await config.getConfig("demo", "G")}`);
  const told = new Promise((done) => config.subscribe({ dataId: "demo", group: "G" }, (text) => text === "two" && done(text)));
  await sleep(500);
  await config.publishSingle("demo", "G", "two");
  say(`notified ${await told}`);
  await naming.deregisterInstance("orders", one);
  process.exit(0);
})();
