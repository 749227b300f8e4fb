// Metrics in Prometheus' text format, as far as the pages need them.
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

// -> [{name, labels, value}]
export function parseMetrics(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
    }
    found.push({ name: match[1], labels, value: match[3] === "+Inf" ? Infinity : Number(match[3]) });
  }
  return found;
}

// What went to each tag: {requests, errors, p95}.
export function traffic(samples) {
  const tags = new Map();
  const of = (tag) => tags.get(tag) || tags.set(tag, { requests: 0, errors: 0, buckets: new Map() }).get(tag);
  for (const { name, labels, value } of samples) {
    if (name === "gateway_requests_total") {
      of(labels.tag).requests += value;
    } else if (name === "gateway_failed_requests_total") {
      of(labels.tag).errors += value;
    } else if (name === "gateway_request_duration_seconds_bucket") {
      const { buckets } = of(labels.tag);
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      buckets.set(bound, (buckets.get(bound) || 0) + value);
    }
  }
  for (const tag of tags.values()) tag.p95 = quantile(tag.buckets, 0.95);
  return { tags };
}

// Linear within a bucket, as Prometheus' histogram_quantile; null without observations.
export function quantile(buckets, share) {
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  const total = bounds.length ? buckets.get(bounds[bounds.length - 1]) : 0;
  if (!total) return null;
  let below = 0;
  let from = 0;
  for (const bound of bounds) {
    const count = buckets.get(bound);
    if (count >= total * share) {
      if (bound === Infinity) return from;
      return count === below ? bound : from + ((bound - from) * (total * share - below)) / (count - below);
    }
    below = count;
    from = bound;
  }
  return from;
}
