// What a person would see to be wrong, as sentences.
() => {
  const faults = [];
  const root = document.documentElement;
  const told = (element) => {
    const name = element.tagName.toLowerCase() + (element.id ? "#" + element.id : "")
      + (element.classList.length ? "." + [...element.classList].join(".") : "");
    return `${name} "${(element.textContent || "").trim().slice(0, 60)}"`;
  };
  if (root.scrollWidth > root.clientWidth)
    faults.push(`the document is ${root.scrollWidth} px wide in a window of ${root.clientWidth}`);

  // Also content-visibility and closed details have no boxes. What is for screen readers alone is a pixel wide.
  const seen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const forReaders = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (style.clipPath.startsWith("inset(50%") || (each.offsetWidth <= 1 && style.overflow === "hidden")) return true;
    }
    return false;
  };
  const cuts = (value) => value === "hidden" || value === "clip";
  for (const element of document.querySelectorAll("body *:not(svg *)")) {
    if (!(element instanceof HTMLElement) || !seen(element) || !element.innerText || forReaders(element)) continue;
    const style = getComputedStyle(element);
    if (style.display === "inline") continue;
    if (cuts(style.overflowX) && element.scrollWidth > element.clientWidth + 1)
      faults.push(`cut at the right, ${element.scrollWidth} px in ${element.clientWidth}: ${told(element)}`);
    if (cuts(style.overflowY) && element.scrollHeight > element.clientHeight + 1)
      faults.push(`cut at the bottom, ${element.scrollHeight} px in ${element.clientHeight}: ${told(element)}`);
  }

  // Words: a short one is whole, a long one is not crumbled.
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent.closest("script, style, noscript, svg, select") || !seen(parent) || forReaders(parent)) continue;
    for (const match of node.data.matchAll(/\S{3,}/gu)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
      const tops = new Set(boxes.map((box) => Math.round(box.top)));
      const whole = match[0].length <= 24 && /^[\p{L}\p{N}_.,:;]+$/u.test(match[0]);
      if (tops.size > 1 && (whole || match[0].length / tops.size < 5))
        faults.push(`the word "${match[0].slice(0, 40)}" is broken into ${tops.size} lines in ${told(parent)}`);
    }
  }

  // Text of charts lies inside of its chart and inside of the window; titles do not lie on one another.
  const inside = (box, outer) => box.left >= outer.left - 1.5 && box.right <= outer.right + 1.5
    && box.top >= outer.top - 1.5 && box.bottom <= outer.bottom + 1.5;
  for (const chart of document.querySelectorAll("body .js-plotly-plot, body svg.drawing")) {
    if (!seen(chart)) continue;
    const outer = chart.getBoundingClientRect();
    const labels = [];
    for (const text of chart.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      if (!text.textContent.trim() || box.width < 1 || text.closest(".hoverlayer, .rangeslider-container")) continue;
      if (!inside(box, outer) || box.left < -1.5 || box.right > root.clientWidth + 1.5)
        faults.push(`cut text of a chart: ${told(text)} in ${told(chart).split(" ")[0]}`);
      const title = text.closest(".infolayer > g, .legend, .annotation, .cbtitle")
        || text.matches(".xtitle, .ytitle, .gtitle");
      labels.push([text, box, Boolean(title)]);
    }
    for (const [i, [a, one, isTitle]] of labels.entries())
      for (const [b, other] of labels.slice(0, i).concat(isTitle ? labels.slice(i + 1).filter(([, , t]) => !t) : []))
        if (Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1.5
          && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 2.5
          && !a.closest(".annotation-pointer") && (isTitle || a.closest(".xaxislayer-above, .yaxislayer-above")))
          faults.push(`text of a chart on other text: ${told(a)} on ${told(b)}`);
  }
  return [...new Set(faults)];
}
