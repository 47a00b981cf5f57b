"use strict";
// The explorer: what the reader chooses becomes a view, and a view a picture, a table, details and a link.
const Explorer = (() => {
  // The picture has buttons of its own.
  const CONFIG = {
    doubleClick: "autosize", // all is shown, also where a link said what part of it
    doubleClickDelay: 1000, // milliseconds
    modeBarButtonsToRemove: ["select2d", "lasso2d", "resetScale2d", "toImage"],
  };
  const ON_AXES = ["chart", "x", "y", "xlog", "ylog"]; // where another choice makes another picture of the zoom
  const { place } = Controls;
  const state = { study: null, view: null, rows: [], drawn: null, heard: false };

  /** The trials that the view shows. Throws Where.Refused. */
  function shown(study, view) {
    const { trials } = study;
    const rows = { front: study.front, complete: study.complete, all: trials.rows }[view.shown];
    if (view.where.length === 0) return rows;
    const valued = rows.filter((row) => trials.text("state", row) === "complete"); // others have no values to compare
    return Where.kept(valued, view.where, (name, row) => trials.value(name, row), (row) => trials.names(row));
  }

  /** The picture of the view in a width, and what the line below it says about it. */
  function picture(width) {
    const kind = state.view.chart === "parallel" ? Parallel : Scatter;
    const figure = kind.figure(state.study, state.rows, state.view, width);
    const notes = [`${Numbers.plural(state.rows.length, "trial")} shown of ${Numbers.grouped(state.study.trials.size)}.`];
    if (figure.points < figure.of) {
      const [drawn, all] = [figure.points, figure.of].map(Numbers.grouped);
      notes.push(`The picture has ${drawn} of ${all} trials; the table and the CSV have all.`);
    }
    if (figure.missing > 0) notes.push(`${Numbers.plural(figure.missing, "trial")} without a place on these axes.`);
    place("status").textContent = notes.join(" ");
    return { data: figure.data, layout: figure.layout, config: CONFIG };
  }

  /** Clicks and zooms are heard of from when plotly has drawn the chart, which is when it is first seen. */
  function listenToChart(chart) {
    if (state.heard) return;
    state.heard = true;
    chart.on("plotly_click", (event) => {
      const key = event.points[0]?.customdata;
      if (state.study.keys.has(key)) toggle(key);
    });
    chart.on("plotly_relayout", zoom);
  }

  function drawChart() {
    state.drawn = lts.draw("explorer-chart", picture, listenToChart);
  }

  function drawTable() {
    const { study, view, rows } = state;
    Rows.render(study, rows, view, place("table"));
    place("where-in-table").textContent = Rows.where(rows, view.page);
    place("previous").disabled = view.page === 0;
    place("next").disabled = view.page + 1 >= Rows.pages(rows);
  }

  function drawSelection() {
    Rows.mark(place("table"), state.view.selected);
    Details.render(state.study, state.view.selected, place("selected"));
    place("hint").hidden = state.view.selected.length > 0;
  }

  /** Keep the view in the address; where a page may not change that, the link of the button has it still. */
  function remember() {
    const fragment = View.written(state.view, state.study);
    try {
      history.replaceState(null, "", fragment || location.href.split("#")[0]);
    } catch {
      // A frame of another program: it has no address of its own.
    }
  }

  const link = () => location.href.split("#")[0] + View.written(state.view, state.study);

  function refresh() {
    const { study, view } = state;
    state.rows = Rows.sorted(study, shown(study, view), view);
    view.page = Math.min(view.page, Rows.pages(state.rows) - 1);
    Controls.show(view);
    drawChart();
    drawTable();
    drawSelection();
    remember();
  }

  function change(part) {
    Object.assign(state.view, part);
    if (ON_AXES.some((name) => name in part)) state.view.zoom = [];
    if (!("page" in part)) state.view.page = 0;
    refresh();
  }

  /** Keep what of the axes is shown after the reader has dragged or scrolled; all of them when that is asked for. */
  function zoom(changed) {
    if (state.view.chart !== "scatter" || !Object.keys(changed).some((name) => /^[xy]axis/.test(name))) return;
    const { xaxis, yaxis } = place("chart").layout;
    const ends = [...xaxis.range, ...yaxis.range].map((end) => Number(end.toPrecision(9)));
    state.view.zoom = xaxis.autorange && yaxis.autorange ? [] : ends;
    drawChart();
    remember();
  }

  function toggle(key) {
    state.view.selected = View.toggled(state.view.selected, key);
    drawChart();
    drawSelection();
    remember();
  }

  /** Take what the boxes say; what is no condition changes nothing but the sentence below them. */
  function applyConditions() {
    const where = Controls.conditions();
    try {
      shown(state.study, { ...state.view, where });
    } catch (error) {
      if (!(error instanceof Where.Refused)) throw error;
      Controls.refuse(error.message);
      return;
    }
    change({ where });
    Controls.showConditions(where, applyConditions);
    Controls.refuse("");
  }

  /** Conditions that hold with other trials may name what these do not have. */
  function changeShown(part) {
    try {
      shown(state.study, { ...state.view, ...part });
    } catch (error) {
      if (!(error instanceof Where.Refused)) throw error;
      Controls.refuse(error.message);
      Controls.show(state.view);
      return;
    }
    change(part);
  }

  function open(fragment) {
    state.view = View.read(fragment, state.study);
    try {
      shown(state.study, state.view);
    } catch (error) {
      if (!(error instanceof Where.Refused)) throw error;
      state.view.where = [];
    }
    Controls.showConditions(state.view.where, applyConditions);
    Controls.refuse("");
    refresh();
  }

  function listen() {
    Controls.listen(changeShown);
    Rows.listen(place("table"), toggle, (name) => {
      const { view, study } = state;
      const descending = view.sort === name ? !view.descending : study.goal(name) === "max";
      change({ sort: name, descending });
    });
    place("previous").addEventListener("click", () => change({ page: state.view.page - 1 }));
    place("next").addEventListener("click", () => change({ page: state.view.page + 1 }));
    place("csv").addEventListener("click", () => Downloads.saveCsv(state.study, state.rows));
    for (const format of ["svg", "png"]) {
      place(format).addEventListener("click", () => Downloads.savePicture(place("chart"), format));
    }
    place("reset").addEventListener("click", () => open(""));
    place("link").append(Details.copyButton("Copy link to this view", link, null));
    window.addEventListener("hashchange", () => open(location.hash));
  }

  /** Show the data of a study, as `lts.report.explorer.data` has it, in the view that the address says. */
  async function start(data) {
    state.study = new Members.Study(data);
    Controls.offer(state.study);
    place("root").hidden = false;
    open(location.hash);
    await state.drawn;
    listen();
  }

  return { start };
})();
lts.waiting.push(Explorer.start(lts.data.explorer));
