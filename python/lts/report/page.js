"use strict";
// Inflates what the page holds, draws its charts in its colors and in its width, and sorts its tables.
(() => {
  const SMALL = "<span style='font-size:11px'>"; // the second line of a title, as Python writes it
  const TITLE = 14.4; // pixels of the text of a title: plotly's, of 12 for all other text
  const LINES = 4; // of a title, at most: whatever a device is called, there is room for the chart
  const NARROW = 440; // pixels; what hovering shows fits into charts that are wider
  const CONFIG = {
    displaylogo: false,
    showSendToCloud: false,
    plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  const root = document.documentElement;
  const drawn = new Map(); // by id: what is drawn there, and how wide
  const pen = document.createElement("canvas").getContext("2d");

  function colored(value, style = getComputedStyle(root)) {
    if (typeof value === "string") {
      const match = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return match ? style.getPropertyValue(match[1]).trim() : value;
    }
    if (Array.isArray(value)) {
      const deep = value.some((entry) => (typeof entry === "object" && entry !== null) || /^var\(/.test(entry));
      return deep ? value.map((entry) => colored(entry, style)) : value;
    }
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, colored(entry, style)]));
  }

  const decoded = (markup) => markup.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
  const encoded = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // Lines of text that are at most so wide, in pixels; a word that is wider is broken.
  function filled(text, width, font) {
    pen.font = font;
    const lines = [""];
    for (let word of text.split(" ")) {
      const joined = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
      if (pen.measureText(joined).width <= width) {
        lines[lines.length - 1] = joined;
        continue;
      }
      if (lines.at(-1)) lines.push("");
      while (word.length > 1 && pen.measureText(word).width > width) {
        let fits = word.length - 1;
        while (fits > 1 && pen.measureText(word.slice(0, fits)).width > width) fits--;
        lines[lines.length - 1] = word.slice(0, fits);
        lines.push("");
        word = word.slice(fits);
      }
      lines[lines.length - 1] = word;
    }
    return lines;
  }

  // Plotly's markup in lines that are at most so wide: text, which may be small or bold as a whole line.
  function wrapped(markup, width, size = 12, family = "system-ui, sans-serif") {
    return markup
      .split("<br>")
      .flatMap((line) => {
        const [, open, text, close] = /^(<span [^>]*>|<b>)?(.*?)(<\/span>|<\/b>.*)?$/s.exec(line);
        const font = `${open === SMALL ? 11 : size}px ${family}`;
        if (open === "<b>") return [line];
        return filled(decoded(text), width, font).map((each) => `${open ?? ""}${encoded(each)}${close ?? ""}`);
      })
      .join("<br>");
  }

  // The figure for a chart that is so wide: titles in lines, fewer ticks, what hovering shows within it.
  function fitted(figure, width) {
    const { data, layout } = colored(figure);
    const high = (layout.height ?? 400) - 150;
    const titled = (of, room) => {
      if (!of?.title?.text) return 0;
      const lines = wrapped(of.title.text, Math.max(room, 80), TITLE).split("<br>");
      if (lines.length > LINES) lines[LINES - 1] = lines[LINES - 1].replace(/(<\/span>)?$/, "…$1");
      of.title.text = lines.slice(0, LINES).join("<br>");
      return Math.min(lines.length, LINES);
    };
    let beside = 50; // what lies left and right of the plot: numbers, and lines of titles
    for (const trace of data) {
      if (trace.name) trace.name = wrapped(trace.name, width - 90);
      const bar = trace.marker?.colorbar;
      if (bar?.orientation === "h") titled(bar, 0.9 * (bar.len ?? 1) * (width - 80));
      else if (bar) beside += 50 + 16 * titled(bar, high);
      const said = Array.isArray(trace.hovertext) ? "hovertext" : "text";
      if (width < NARROW && Array.isArray(trace[said]))
        trace[said] = trace[said].map((text) => wrapped(text, width - 60, 11, "ui-monospace, monospace"));
    }
    const axes = (letter) => Object.keys(layout).filter((key) => key.startsWith(`${letter}axis`));
    beside += 16 * Math.max(0, ...axes("y").map((key) => titled(layout[key], high)));
    for (const axis of axes("x").map((key) => layout[key])) {
      titled(axis, width - beside - 16);
      const most = Math.max(2, Math.floor((width - beside) / 80));
      if (axis.nticks) axis.nticks = Math.min(axis.nticks, most + 1);
      if (axis.tickvals?.length > most) {
        const step = Math.ceil(axis.tickvals.length / most);
        axis.tickvals = axis.tickvals.filter((_, i) => i % step === 0);
        axis.ticktext = axis.ticktext?.filter((_, i) => i % step === 0);
      }
    }
    return { data, layout: { ...layout, width } };
  }

  async function show(id) {
    const chart = drawn.get(id);
    const element = document.getElementById(id);
    chart.width = Math.floor(element.clientWidth);
    if (!chart.width) return; // not seen now; it is drawn when it is
    const figure = typeof chart.figure === "function" ? chart.figure(chart.width) : chart.figure;
    const { data, layout } = fitted(figure, chart.width);
    await Plotly.react(id, data, layout, { ...CONFIG, ...figure.config });
    chart.after(element);
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const chart = drawn.get(target.id);
      if (chart && chart.width !== Math.floor(target.clientWidth)) show(target.id);
    }
  });

  // A figure, or what makes one for a width; `after(element)` is called whenever it has been drawn.
  async function draw(id, figure, after = () => {}) {
    drawn.set(id, { figure, after, width: 0 });
    await show(id);
    resized.observe(document.getElementById(id));
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const id of drawn.keys()) show(id);
  });

  async function inflated(element) {
    const text = atob(element.textContent);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  async function open() {
    const packed = [...document.querySelectorAll("script[data-packed]")];
    const texts = await Promise.all(packed.map(inflated));
    packed.forEach((element, i) => {
      if (element.dataset.packed === "json") lts.data[element.dataset.name] = JSON.parse(texts[i]);
    });
    packed.forEach((element, i) => {
      if (element.dataset.packed !== "script") return;
      const script = document.createElement("script"); // runs at once, and only when the policy has its hash
      script.textContent = texts[i];
      element.replaceWith(script);
    });
    for (const [id, figure] of Object.entries(lts.data.figures)) {
      await draw(id, figure);
      await new Promise((done) => setTimeout(done)); // the page answers between charts
    }
    await Promise.all(lts.waiting);
    root.dataset.drawn = "";
  }

  function tooOld() {
    document.getElementById("too-old").hidden = false;
    root.dataset.drawn = "";
  }

  window.lts = { data: Object.create(null), colored, draw, waiting: [] };
  if (window.DecompressionStream === undefined || ![].at) tooOld();
  else
    open().catch((error) => {
      tooOld();
      console.error(error);
    });

  // A click on a heading sorts its table, a second one the other way round.
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const descending = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => Number(row.children[heading.cellIndex].dataset.value);
      const body = heading.closest("table").tBodies[0];
      const rows = [...body.rows].sort((a, b) => (descending ? key(b) - key(a) : key(a) - key(b)));
      body.append(...rows);
    });
  }

  // What can be scrolled can be reached with the keyboard.
  const scrolled = new ResizeObserver((entries) => {
    for (const { target } of entries)
      if (target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
  });
  for (const element of document.querySelectorAll(".table")) scrolled.observe(element);

  // The fragment of the address may hold the state of the page: the link moves, and leaves it as it is.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("content").focus();
    document.getElementById("content").scrollIntoView();
  });
})();
