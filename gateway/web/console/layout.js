// Where the nodes and lines of a topology go: layers from left to right, by the longest way from an entry.
export const WIDTH = 190, LABEL = 130, GAP = 26, LINE = 26, TOP = 24, PASSAGE = 16;

// Longest ways from the roots; circles are not followed.
function putInLayers(nodes, ways) {
  const called = new Set(ways.filter((way) => way.source !== way.to).map((way) => way.to));
  const visit = (node, path) => {
    for (const { to } of ways.filter((way) => way.source === node.id && !path.has(way.to))) {
      const next = nodes.get(to);
      if (next.layer >= path.size) continue;  // it is as far on another way
      next.layer = path.size;
      visit(next, new Set([...path, to]));
    }
  };
  const roots = [...nodes.values()].filter((node) => node.isEntry || !called.has(node.id));
  for (const node of roots.length ? roots : [...nodes.values()].slice(0, 1)) visit(node, new Set([node.id]));
}

// {nodes, lines, width, height} of what the API says: each node with x, y and height, each line with its path and the place of its words.
export function layout({ gateways, services, edges }) {
  const nodes = new Map();
  for (const name of gateways) nodes.set(`entry ${name}`, { id: `entry ${name}`, name, isEntry: true, tags: [], layer: 0 });
  for (const { service, tags } of services) nodes.set(service, { id: service, name: service, isEntry: false, tags, layer: 0 });
  const ways = edges.map((edge) => ({ ...edge, source: edge.is_entry ? `entry ${edge.from}` : edge.from })).filter((way) => nodes.has(way.source) && nodes.has(way.to));
  putInLayers(nodes, ways);
  const layers = [];
  for (const node of nodes.values()) (layers[node.layer] ||= []).push(node);
  // A line over several layers has a passage in each, so that it crosses no node.
  for (const way of ways) {
    way.stops = [nodes.get(way.source)];
    for (let layer = way.stops[0].layer + 1; layer < nodes.get(way.to).layer; layer++) {
      const passage = { isPassage: true, layer, height: PASSAGE, from: way.stops[way.stops.length - 1] };
      way.stops.push(passage);
      layers[layer].push(passage);
    }
    way.stops.push(nodes.get(way.to));
  }
  const found = layers.filter(Boolean);
  const forward = ways.filter((way) => nodes.get(way.to).layer > nodes.get(way.source).layer);
  const leaving = (node) => forward.filter((way) => way.source === node.id), arriving = (node) => forward.filter((way) => way.to === node.id);
  for (const node of nodes.values()) node.height = Math.max(50, LINE * Math.max(leaving(node).length, arriving(node).length));
  const total = (layer) => layer.reduce((sum, node) => sum + node.height + GAP, -GAP);
  const most = Math.max(...found.map(total));
  const middle = (node) => node.y + node.height / 2;
  found.forEach((layer, at) => {
    // Beside what leads there, so that few lines cross.
    const before = (node) => { const from = node.isPassage ? [node.from] : arriving(node).map((way) => way.stops[way.stops.length - 2]); return from.length ? from.reduce((sum, item) => sum + middle(item), 0) / from.length : 0; };
    const order = new Map(layer.map((node) => [node, before(node)]));
    layer.sort((a, b) => order.get(a) - order.get(b));
    let y = TOP + (most - total(layer)) / 2;
    for (const node of layer) {
      node.x = 12 + at * (WIDTH + LABEL + 30);
      node.y = y;
      y += node.height + GAP;
    }
  });
  // Every line has a place of its own at either end, in the order of where it comes from or goes to.
  for (const node of nodes.values()) {
    for (const [mine, end, other] of [[leaving(node), "begins", (way) => way.stops[1]], [arriving(node), "ends", (way) => way.stops[way.stops.length - 2]]]) {
      mine.sort((a, b) => middle(other(a)) - middle(other(b))).forEach((way, number) => { way[end] = middle(node) + (number - (mine.length - 1) / 2) * LINE; });
    }
  }
  let low = TOP + most;
  const lines = ways.map((way) => {
    const from = nodes.get(way.source), to = nodes.get(way.to);
    if (way.begins === undefined) {  // backwards, within a layer, or to itself: below everything
      low += LINE;
      const x1 = from.x + WIDTH / 2 + 12, x2 = to.x + WIDTH / 2 - 12;
      return { way, path: `M ${x1} ${from.y + from.height} L ${x1} ${low - 8} Q ${x1} ${low} ${x1 + (x2 < x1 ? -8 : 8)} ${low} L ${x2 + (x2 < x1 ? 8 : -8)} ${low} Q ${x2} ${low} ${x2} ${low - 8} L ${x2} ${to.y + to.height + 8}`, x: Math.max(x1, x2) + 6, y: low - 4 };
    }
    let path = `M ${from.x + WIDTH} ${way.begins}`;
    let x = from.x + WIDTH, y = way.begins;
    for (const stop of way.stops.slice(1)) {
      const end = stop.isPassage ? stop.x : stop.x - 8, next = stop.isPassage ? middle(stop) : way.ends;
      path += ` L ${x + LABEL} ${y} C ${x + LABEL + 15} ${y} ${end - 15} ${next} ${end} ${next}`;
      if (stop.isPassage) path += ` L ${end + WIDTH} ${next}`;
      [x, y] = [end + WIDTH, next];
    }
    return { way, path, x: from.x + WIDTH + 6, y: way.begins - 5 };
  });
  return { nodes: [...nodes.values()], lines, width: 24 + found.length * (WIDTH + LABEL + 30) - (lines.some(({ way }) => way.begins === undefined) ? 0 : LABEL + 30), height: low + 16 };
}
