// Draws one picture (a chart, a table, a number, a text) and replaces its data in place while its form stays the same.
// Whatever comes from data is set as text, never as markup.

const VEGA = Symbol.for("eventlab.vega");

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = `eventlab-${name}`;
  if (text !== undefined) node.textContent = text;
  return node;
}

// JupyterLab's shortcuts of one key would take the arrows from a slider, Enter from a button and letters from a field. It
// listens on the document and leaves alone what has this attribute; shortcuts with Ctrl, Alt or Cmd still work.
function ownKeys(el, signal) {
  const mark = (event) => {
    if (!el.contains(event.target)) return;
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !(event.ctrlKey || event.altKey || event.metaKey));
  };
  window.addEventListener("keydown", mark, { capture: true, signal });
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function isDark() {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  if (jpThemeLight !== undefined) return jpThemeLight === "false";
  if (vscodeThemeKind !== undefined) return vscodeThemeKind.includes("dark");
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

// Calls `changed` when the page turns light or dark; returns what ends that.
function onTheme(changed) {
  const observer = new MutationObserver(changed);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  return () => observer.disconnect();
}

// The library is a model of its own, so that the page has Vega once, however many widgets there are.
async function library(model) {
  return model.widget_manager.get_model(model.get("library"));
}

async function loadVega(model) {
  const shelf = await library(model);
  while (!shelf.get("packed")?.byteLength) {
    await new Promise((resolve) => shelf.once("change:packed", resolve));
  }
  const packed = new Blob([shelf.get("packed")]);
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  const text = await new Response(stream).text();
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function vega(model) {
  globalThis[VEGA] ??= loadVega(model).catch((error) => {
    delete globalThis[VEGA];
    throw error;
  });
  return globalThis[VEGA];
}

// Vega's own reading of fields, which it applies to rows that come with a specification and not to those that come later.
const READ = {
  date: (value) => (value == null || value === "" ? null : Date.parse(value)),
  number: (value) => (value == null || value === "" ? null : Number(value)),
  boolean: (value) => (value == null || value === "" ? null : !(value === "false" || value === "0") && !!value),
  string: (value) => (value == null || value === "" ? null : String(value)),
};

function read(rows, parse) {
  const fields = Object.entries(parse ?? {});
  return rows.map((row) => {
    const copy = typeof row === "object" && row !== null ? { ...row } : { data: row };
    for (const [field, kind] of fields) copy[field] = READ[kind](copy[field]);
    return copy;
  });
}

class Chart {
  constructor(el, model) {
    this.el = el;
    this.model = model;
  }

  async show(form, data) {
    const key = JSON.stringify(form);
    if (this.view && this.replaceable && key === this.key && this.dark === isDark()) {
      await this.replace(data);
    } else {
      await this.embed(form, data);
      this.key = key;
    }
  }

  async replace(data) {
    for (const [name, rows] of Object.entries(data)) {
      if (this.parses.has(name)) this.view.data(name, read(rows, this.parses.get(name)));
    }
    await this.view.resize().runAsync();
  }

  // What a person did to the chart (zoom, selection) is carried over to a new form where it has the same parameters.
  async embed(form, data) {
    const embedder = await vega(this.model);
    const dark = isDark();
    const themes = (await library(this.model)).get("themes");
    const kept = this.view ? this.done(form) : null;
    const holder = make("div");
    const { view, vgSpec, finalize } = await embedder(
      holder,
      { ...form, datasets: structuredClone(data) },
      {
        mode: "vega-lite",
        renderer: "svg",
        config: themes[dark ? "dark" : "light"],
        actions: { export: true, source: false, compiled: false, editor: false },
        theme: undefined,
        tooltip: { theme: dark ? "dark" : "light" },
      },
    );
    this.finalize?.();
    Object.assign(this, { view, finalize, dark });
    this.parses = new Map(vgSpec.data.filter((d) => d.name in data).map((d) => [d.name, d.format?.parse]));
    const kinds = [...this.parses.values()].flatMap((parse) => Object.values(parse ?? {}));
    this.replaceable = kinds.every((kind) => Object.hasOwn(READ, kind)); // else, of a format of dates, drawn anew
    if (kept) {
      try {
        await view.setState(kept).runAsync();
      } catch {
        await view.runAsync(); // the new form has other signals: it begins as it is
      }
    }
    this.el.replaceChildren(holder);
    this.el.eventlabView = view;
  }

  done(form) {
    const names = (form.params ?? []).map((param) => param.name);
    const own = (name) => names.some((param) => name === param || name?.startsWith(`${param}_`));
    return this.view.getState({ signals: own, data: own });
  }

  end() {
    this.finalize?.();
    this.view = null;
  }
}

class Table {
  constructor(el) {
    this.el = el;
    this.box = make("div", "scroll");
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", "Table");
    this.table = this.box.appendChild(make("table"));
    this.head = this.table.createTHead().insertRow();
    this.body = this.table.createTBody();
    this.more = make("div", "quiet");
    el.replaceChildren(this.box, this.more);
  }

  show(form, data) {
    const key = JSON.stringify(form);
    const fresh = key !== this.key;
    if (fresh) {
      this.key = key;
      this.body.replaceChildren();
      this.head.replaceChildren(
        ...form.columns.map(({ name, type, numeric }) => {
          const cell = make("th", numeric ? "numeric" : "", name);
          cell.title = type ?? "";
          cell.scope = "col";
          return cell;
        }),
      );
    }
    while (this.body.rows.length > data.rows.length) this.body.deleteRow(-1);
    data.rows.forEach((row, number) => this.row(form, row, number, fresh));
    const rest = data.total - data.rows.length;
    setText(this.more, rest > 0 ? `the first ${data.rows.length.toLocaleString("en")} of ${data.total.toLocaleString("en")} rows` : data.total ? "" : "no rows");
  }

  row(form, row, number, fresh) {
    const known = number < this.body.rows.length;
    const line = known ? this.body.rows[number] : this.body.insertRow();
    row.forEach((text, column) => {
      const cell = known ? line.cells[column] : line.insertCell();
      if (!known && form.columns[column].numeric) cell.className = "eventlab-numeric";
      const shown = text ?? "";
      if (known && cell.textContent === shown) return;
      cell.textContent = shown;
      if (known && !fresh) {
        cell.classList.remove("eventlab-fresh");
        void cell.offsetWidth; // so that the animation begins again
        cell.classList.add("eventlab-fresh");
      }
    });
  }

  end() {}
}

class Words {
  constructor(el, kind) {
    this.node = make("div", kind);
    el.replaceChildren(this.node);
  }

  show(_form, data) {
    setText(this.node, data.text);
  }

  end() {}
}

// One drawing at a time; of those that are asked for meanwhile, the last.
class Drawing {
  constructor(el, model) {
    this.el = el;
    this.model = model;
    this.offTheme = onTheme(() => this.last && this.show(...this.last));
  }

  async show(kind, form, data) {
    this.last = [kind, form, data];
    this.wanted = this.last;
    if (this.drawing) return this.drawing;
    this.drawing = this.run();
    try {
      await this.drawing;
    } finally {
      this.drawing = null;
    }
  }

  async run() {
    while (this.wanted) {
      const [kind, form, data] = this.wanted;
      this.wanted = null;
      if (kind !== this.kind) {
        this.part?.end();
        this.kind = kind;
        this.part = kind === "chart" ? new Chart(this.el, this.model) : kind === "table" ? new Table(this.el) : new Words(this.el, kind);
      }
      try {
        await this.part.show(form, data);
      } catch (error) {
        this.part.end();
        this.kind = null;
        this.el.replaceChildren(make("div", "error", `This picture cannot be drawn: ${error.message}`));
      }
    }
  }

  end() {
    this.offTheme();
    this.part?.end();
  }
}

// Draws what a model holds now and whenever it changes.
function follow(model, el) {
  const drawing = new Drawing(el, model);
  let due = false;
  const changed = () => {
    if (due) return; // form and data come in one message
    due = true;
    queueMicrotask(() => {
      due = false;
      const { kind, form, data } = model.get("picture");
      if (kind) drawing.show(kind, form, { ...data });
    });
  };
  model.on("change:picture", changed);
  changed();
  return drawing;
}

// Sends a message to the kernel; false if there is no way any more.
function post(model, message) {
  try {
    model.send(message);
    return true;
  } catch {
    return false;
  }
}

// Calls `told(alive)` when the way to the kernel opens or closes.
async function onKernel(model, told) {
  const real = await model.widget_manager.get_model(model.get("identity"));
  const look = () => told(real.comm_live !== false);
  real.on("comm_live_update", look);
  look();
  return () => real.off("comm_live_update", look);
}
