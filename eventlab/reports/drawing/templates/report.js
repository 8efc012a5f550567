// Draws the charts of a report: as wide as the page, in its light or dark colours, again when either changes. Vega evaluates its
// expressions with an interpreter (`ast`), so that the page needs no eval, and its loader loads nothing.
"use strict";
(() => {
  const themes = JSON.parse(document.getElementById("eventlab-themes").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const LARGE = 400; // a chart at least as wide as this is made to fill the page
  const refuse = () => Promise.reject(new Error("a report fetches nothing"));
  const loader = { load: refuse, sanitize: refuse, http: refuse, file: refuse };
  const charts = [...document.querySelectorAll(".chart")].map((figure) => ({
    figure,
    screen: figure.querySelector(".screen"),
    paper: figure.querySelector(".paper"),
    spec: JSON.parse(figure.querySelector("script").textContent),
  }));

  const isView = (spec) => "mark" in spec || "layer" in spec;

  // A picture made of marks at pixels, whose x has no axis and ends where it is wide: it cannot be drawn wider.
  function isCanvas(spec, width = spec.width) {
    const x = spec.encoding?.x;
    if (x?.axis === null && Array.isArray(x.scale?.domain) && Math.abs(x.scale.domain[1] - width) < 1) return true;
    return (spec.layer ?? []).some((layer) => isCanvas(layer, width));
  }

  // Words in lines of at most so many letters: Vega breaks none, and would rather make a chart narrow than its title.
  function lines(given, most) {
    const all = [given ?? []].flat().map(String);
    if (all.every((line) => line.length <= most)) return given;
    const made = [""];
    for (const word of all.join(" ").split(" ")) {
      const last = made[made.length - 1];
      if (last === "") made[made.length - 1] = word;
      else if (last.length + 1 + word.length <= most) made[made.length - 1] = `${last} ${word}`;
      else made.push(word);
    }
    return made;
  }

  function titled(spec, width) {
    if (!spec.title) return spec;
    const title = typeof spec.title === "object" && !Array.isArray(spec.title) ? spec.title : { text: spec.title };
    const subtitle = lines(title.subtitle, Math.floor(width / 6.2));
    const text = typeof title.text === "object" && !Array.isArray(title.text) ? title.text : lines(title.text, Math.floor(width / 7.8));
    return { ...spec, title: { ...title, text, ...(subtitle === undefined ? {} : { subtitle }) } };
  }

  function wide(spec, width) {
    if (typeof spec.width !== "number") return typeof spec.width === "object" ? spec : { ...titled(spec, width), width };
    return isCanvas(spec) || (spec.width < LARGE && spec.width <= width) ? spec : { ...titled(spec, width), width };
  }

  // The specification for a width; `aside` is what axes take, which Vega subtracts by itself in charts of one panel alone whose
  // height is a number.
  function fitted(spec, width, aside) {
    if (isView(spec)) {
      if (wide(spec, width) === spec) return spec;
      if (typeof spec.height !== "number") return wide(spec, width - aside);
      return { ...wide(spec, width), autosize: { type: "fit-x", contains: "padding" } };
    }
    if (Array.isArray(spec.vconcat)) {
      return { ...spec, vconcat: spec.vconcat.map((panel) => (isView(panel) ? wide(panel, width - aside) : panel)) };
    }
    return spec;
  }

  function escaped(value) {
    const node = document.createElement("span");
    node.textContent = value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
    return node.innerHTML;
  }

  function formatTooltip(value) {
    if (value === null || typeof value !== "object") return escaped(value);
    const rows = Object.entries(value).map(
      ([key, part]) => `<tr><td class="key">${escaped(key)}</td><td>${escaped(part)}</td></tr>`,
    );
    return `<table>${rows.join("")}</table>`;
  }

  async function embed(holder, spec, mode, actions) {
    return vegaEmbed(holder, spec, {
      mode: "vega-lite",
      renderer: "svg",
      ast: true,
      logLevel: 1, // errors: what Vega-Lite warns of is for who makes the chart
      config: themes[mode],
      loader,
      defaultStyle: false,
      actions: actions && { export: true, source: false, compiled: false, editor: false },
      downloadFileName: document.title.replace(/[^\p{L}\p{N}]+/gu, "-"),
      tooltip: { theme: "custom", disableDefaultStyle: true, formatTooltip },
    });
  }

  async function draw(chart, holder, mode, width, actions) {
    const first = fitted(chart.spec, width, chart.aside ?? 64);
    let made = await embed(holder, first, mode, actions);
    const svg = holder.querySelector("svg.marks");
    const over = svg ? Math.ceil(svg.getAttribute("width") - width) : 0;
    if (chart.aside === undefined && over !== 0 && first !== chart.spec && !first.autosize) {
      chart.aside = 64 + over;
      made.finalize();
      made = await embed(holder, fitted(chart.spec, width, chart.aside), mode, actions);
    }
    return made;
  }

  async function show(chart) {
    const width = Math.max(220, Math.floor(chart.figure.clientWidth));
    const mode = dark.matches ? "dark" : "light";
    if (chart.width === width && chart.mode === mode) return;
    Object.assign(chart, { width, mode });
    try {
      chart.made?.finalize();
      chart.made = await draw(chart, chart.screen, mode, width, true);
      chart.paper.replaceChildren();
      if (mode === "dark") await draw(chart, chart.paper, "light", width, false); // to be printed
    } catch (error) {
      const note = document.createElement("p");
      note.className = "broken";
      note.textContent = `The chart could not be drawn: ${error.message}`;
      chart.screen.replaceChildren(note);
      console.error(error);
    }
  }

  let drawing = Promise.resolve();
  function showAll() {
    drawing = drawing.then(async () => {
      for (const chart of charts) await show(chart);
      document.documentElement.dataset.drawn = "yes";
    });
  }

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(showAll, 120);
  });
  dark.addEventListener("change", showAll);
  showAll();
})();
