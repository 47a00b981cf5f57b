"use strict";
// An architecture drawn layer by layer: to the left its attention heads, to the right the width of its feed-forward
// network, all to the scale that the drawings beside it have.
const Drawing = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const [WIDTH, ROW, GAP, LEFT, MIDDLE] = [360, 16, 4, 26, 12];
  const [LETTERS, HEAD] = [70, 26]; // room for the number beside a bar; for the heading

  function element(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /** The layers of an architecture as JSON has it, from first to last. */
  function layers(architecture) {
    const { n_head: heads = [], n_kv_head: keys = heads, d_ff: widths = [], mixer = [], n_ff: depths = [] } = architecture;
    return heads.map((n, i) => ({
      heads: n,
      keys: keys[i],
      headWidth: architecture.head_dim || Math.floor(architecture.d_model / n),
      mixer: mixer[i] ?? "attention",
      width: widths[i],
      depth: depths[i] ?? 1,
    }));
  }

  /** The largest widths of attention and of feed-forward networks, which both drawings are scaled to. */
  function scaleOf(architectures) {
    const all = architectures.flatMap(layers);
    const most = (of) => all.reduce((largest, layer) => Math.max(largest, of(layer)), 1);
    return { attention: most((layer) => layer.heads * layer.headWidth), width: most((layer) => layer.width) };
  }

  const attends = (layer) => layer.mixer.endsWith("attention");

  function attentionText(layer) {
    if (!attends(layer)) return layer.mixer;
    return layer.keys === layer.heads ? `${layer.heads}` : `${layer.heads} / ${layer.keys}`;
  }

  function attention(layer, y, scale, room) {
    const group = element("g", {});
    if (!attends(layer)) return group;
    const each = (room * layer.headWidth) / scale.attention;
    for (let head = 0; head < layer.heads; head += 1) {
      const shared = layer.keys < layer.heads && head % Math.ceil(layer.heads / layer.keys) !== 0;
      const kind = shared ? "head shared" : "head";
      group.append(element("rect", { class: kind, x: LEFT + head * each, y, width: Math.max(each - 0.8, 0.4), height: ROW }));
    }
    return group;
  }

  /** What a screen reader says of a drawing. */
  function described(title, architecture) {
    const said = [`${title}: ${layers(architecture).length} layers of width ${architecture.d_model}, from first to last`];
    said.push(`heads ${Numbers.runs(architecture.n_head ?? [])}`, `feed-forward ${Numbers.runs(architecture.d_ff ?? [])}`);
    return said.join("; ");
  }

  /** The drawing as an SVG element. */
  function draw(title, architecture, scale) {
    const found = layers(architecture);
    const height = HEAD + found.length * (ROW + GAP) + 6;
    const room = (WIDTH - LEFT - MIDDLE) / 2 - LETTERS;
    const right = LEFT + room + LETTERS + MIDDLE;
    const svg = element("svg", { class: "layers-drawing", viewBox: `0 0 ${WIDTH} ${height}`, role: "img" });
    svg.setAttribute("aria-label", described(title, architecture));
    const keyed = found.some((layer) => attends(layer) && layer.keys !== layer.heads);
    svg.append(element("text", { class: "heading", x: LEFT, y: 14 }, keyed ? "heads / of keys and values" : "attention heads"));
    svg.append(element("text", { class: "heading", x: right, y: 14 }, "feed-forward width"));
    found.forEach((layer, i) => {
      const y = HEAD + i * (ROW + GAP);
      const base = y + ROW - 4;
      svg.append(element("text", { class: "place", x: LEFT - 6, y: base, "text-anchor": "end" }, String(i + 1)));
      svg.append(attention(layer, y, scale, room));
      const wide = attends(layer) ? (room * layer.heads * layer.headWidth) / scale.attention : 0;
      svg.append(element("text", { x: LEFT + wide + 5, y: base }, attentionText(layer)));
      const width = (room * layer.width) / scale.width;
      svg.append(element("rect", { class: "width", x: right, y, width, height: ROW }));
      const depth = layer.depth === 1 ? "" : ` × ${layer.depth}`;
      svg.append(element("text", { x: right + width + 5, y: base }, `${layer.width}${depth}`));
    });
    return svg;
  }

  return { draw, scaleOf };
})();
