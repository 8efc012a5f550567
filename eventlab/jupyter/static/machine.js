// A time machine: sliders over time with the events behind them, what a log or a state was there, and what lies between stops.

const SVG = "http://www.w3.org/2000/svg";
const PAUSE = 60; // milliseconds for which a drag rests before it is a move
const PLAY = 350; // milliseconds that a step of the play is shown at least
const ICONS = {
  back: "M9 1.5v9L2.5 6zM1 1.5h1.5v9H1z",
  play: "M2.5 1v10L11 6z",
  pause: "M2.5 1.5H5v9H2.5zM7 1.5h2.5v9H7z",
  on: "M3 1.5v9L9.5 6zM9.5 1.5H11v9H9.5z",
};

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function icon(button, name) {
  const image = svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" });
  image.append(svg("path", { d: ICONS[name] }));
  button.querySelector("svg")?.remove();
  button.prepend(image);
}

function pressed(name, label, act) {
  const button = make("button", "button");
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.title = label;
  if (name) icon(button, name);
  button.addEventListener("click", act);
  return button;
}

// One clock: a range over its moments, and how many events each stretch between two of them has, as bars behind it.
class Track {
  constructor({ labels, counts, name, from, to }, height, moved) {
    this.labels = labels;
    this.last = labels.length - 1;
    this.el = make("div", "track");
    const image = svg("svg", { class: "eventlab-bars", viewBox: `0 0 ${counts.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    image.style.height = `${height}px`;
    const most = Math.max(1, ...counts);
    const bars = counts.map((count, i) => (count ? `M${i} 100V${100 - Math.max(3, (100 * count) / most)}h${counts.length > 160 ? 1 : 0.82}V100z` : "")).join("");
    this.past = svg("path", { d: bars, class: "eventlab-past" });
    const clip = `eventlab-clip-${Math.random().toString(36).slice(2)}`;
    this.clip = svg("rect", { x: 0, y: 0, width: 0, height: 100 });
    const path = svg("clipPath", { id: clip });
    path.append(this.clip);
    this.past.setAttribute("clip-path", `url(#${clip})`);
    image.append(path, svg("path", { d: bars, class: "eventlab-future" }), this.past);
    this.input = make("input", "range");
    Object.assign(this.input, { type: "range", min: 0, max: this.last, step: 1 });
    this.input.setAttribute("aria-label", name);
    const ends = make("div", "ends");
    ends.append(make("span", "", from), make("span", "", to));
    this.el.append(image, this.input, ends);
    this.input.addEventListener("input", () => (this.draw(), moved(false)));
    this.input.addEventListener("change", () => (this.draw(), moved(true)));
  }

  get value() {
    return Number(this.input.value);
  }

  set value(index) {
    this.input.value = index;
    this.draw();
  }

  get label() {
    return this.labels[this.value];
  }

  draw() {
    this.clip.setAttribute("width", (this.value / Math.max(1, this.last)) * Math.max(1, this.last));
    this.input.setAttribute("aria-valuetext", this.label);
  }
}

function section(title) {
  const el = make("section", "panel");
  const head = el.appendChild(make("h4", "", title));
  const note = el.appendChild(make("div", "chips"));
  return { el, head, note, body: el.appendChild(make("div")) };
}

function chips(el, counts) {
  el.replaceChildren(
    ...counts.map(([name, count]) => {
      const chip = make("span", "chip");
      chip.append(make("b", "", count.toLocaleString("en")), ` ${name}`);
      chip.dataset.name = name;
      return chip;
    }),
  );
}

function render({ model, el }) {
  const about = model.get("about");
  el.classList.add("eventlab-widget", "eventlab-machine");
  const ending = new AbortController();
  ownKeys(el, ending.signal);
  el.setAttribute("role", "group");
  el.setAttribute("aria-label", `Time machine: ${about.title}`);

  let form = model.get("answer").shown;
  let sent = model.get("answer").seq;
  let busy = false;
  let wanted = null;
  let timer = null;
  let playing = false;
  let alive = true;

  const track = new Track(about.valid, 46, (settled) => move(settled));
  const known = about.known ? new Track(about.known, 18, (settled) => move(settled)) : null;
  const places = () => ({ at: track.value, known: known ? known.value : null });

  const moment = make("input", "moment");
  Object.assign(moment, { type: "text", spellcheck: false, autocomplete: "off" });
  moment.setAttribute("aria-label", `Moment, in ${about.zone}`);
  moment.title = `A moment in ${about.zone}, like 2013-02-08 17:00; Enter goes there`;
  const day = make("span", "day");
  const head = make("div", "top");
  head.append(make("strong", "title", about.title), moment, day);

  const back = pressed("back", "One step back", () => step(-1));
  const play = pressed("play", "Play", () => (playing ? rest() : start()));
  const on = pressed("on", "One step on", () => step(1));
  const forms = about.forms.map((name) => {
    const button = pressed(null, `Show as ${name}`, () => {
      form = name;
      marks();
      move(true);
    });
    button.append(name[0].toUpperCase() + name.slice(1));
    return [name, button];
  });
  const code = make("code", "code");
  const copy = pressed(null, "Copy as code", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      setText(copy, "Copied");
    } catch {
      window.getSelection().selectAllChildren(code); // no clipboard here: it is ready to be copied by hand
      setText(copy, "Press Ctrl+C");
    }
    setTimeout(() => setText(copy, "Copy as code"), 1600);
  });
  copy.append("Copy as code");
  const stepper = make("div", "group");
  stepper.append(back, play, on, make("span", "quiet", `step ${about.step}`));
  const shapes = make("div", "group");
  if (forms.length > 1) shapes.append(...forms.map(([, button]) => button));
  const copying = make("div", "group eventlab-right");
  copying.append(code, copy);
  const bar = make("div", "bar");
  bar.append(stepper, shapes, copying);

  const error = make("div", "error");
  error.setAttribute("role", "alert");
  const picture = make("div", "picture");
  const changed = section("Changed");
  const events = section("Events in between");
  const panels = make("div", "panels");
  panels.append(changed.el, events.el);
  const parts = [head, track.el];
  if (known) {
    const row = make("div", "known");
    row.append(make("span", "knownname", "as known at"), known.el, make("output", "knownat"));
    parts.push(row);
  }
  el.replaceChildren(...parts, bar, error, picture, panels);

  const drawing = follow(model, picture);
  const changes = new Table(changed.body);
  const between = new Table(events.body);
  changes.box.setAttribute("aria-label", "What changed");
  between.box.setAttribute("aria-label", "Events in between");

  const marks = () => {
    for (const [name, button] of forms) button.setAttribute("aria-pressed", String(name === form));
    back.disabled = !alive || track.value <= 0;
    on.disabled = !alive || track.value >= track.last;
    play.disabled = !alive;
  };

  const ask = (request) => {
    if (!alive) return;
    if (busy) {
      wanted = request;
      return;
    }
    busy = true;
    sent += 1;
    el.dataset.busy = "";
    post(model, { type: "move", seq: sent, form, ...request });
  };

  const move = (settled) => {
    clearTimeout(timer);
    timer = null;
    moment.value = track.label;
    if (known) setText(el.querySelector(".eventlab-knownat"), known.label);
    marks();
    if (settled) ask({ ...places(), settled: true });
    else
      timer = setTimeout(() => {
        timer = null;
        ask({ ...places(), settled: false });
      }, PAUSE);
  };

  const step = (by) => {
    const next = Math.min(track.last, Math.max(0, track.value + by));
    if (next === track.value) return rest();
    track.value = next;
    move(true);
  };

  const start = () => {
    playing = true;
    icon(play, "pause");
    play.setAttribute("aria-label", "Pause");
    if (track.value >= track.last) track.value = 0;
    step(1);
  };

  const rest = () => {
    playing = false;
    icon(play, "play");
    play.setAttribute("aria-label", "Play");
  };

  moment.addEventListener("keydown", (event) => {
    if (event.key === "Enter") ask({ text: moment.value, known: known ? known.value : null, settled: true });
    if (event.key === "Escape") answered();
  });

  const answered = () => {
    const answer = model.get("answer");
    if (answer.seq < sent) return; // of a move before the last one
    busy = false;
    delete el.dataset.busy;
    error.hidden = !answer.error;
    setText(error, answer.error ?? "");
    setText(code, answer.code);
    setText(day, answer.day);
    if (!wanted && !timer) {
      if (answer.at !== null) track.value = answer.at;
      if (document.activeElement !== moment || !answer.error) moment.value = answer.moment;
      if (known && answer.known !== null) known.value = answer.known;
    }
    if (known) setText(el.querySelector(".eventlab-knownat"), known.label);
    marks();
    const next = wanted;
    wanted = null;
    if (next) ask(next);
    else if (playing) setTimeout(() => playing && step(1), PLAY);
  };

  const compared = () => {
    const { since, changes: what, events: lying } = model.get("between");
    panels.hidden = !since;
    if (!since) return;
    changed.el.hidden = !what;
    if (what) {
      setText(changed.head, `Changed ${since}`);
      chips(changed.note, what.counts);
      changed.body.hidden = !what.table;
      if (what.table) changes.show(what.table.form, what.table.data);
      if (what.note) changed.note.append(make("span", "quiet", what.note));
    }
    setText(events.head, `Events in between, ${since}`);
    chips(events.note, lying.counts);
    events.body.hidden = !lying.table;
    if (!lying.table) events.note.append(make("span", "quiet", "none"));
    if (lying.table) between.show(lying.table.form, lying.table.data);
  };

  model.on("change:answer", answered);
  model.on("change:between", compared);
  const kernel = onKernel(model, (now) => {
    alive = now;
    el.dataset.state = now ? "live" : "ended";
    for (const input of [track.input, moment, ...(known ? [known.input] : [])]) input.disabled = !now;
    if (!now) {
      rest();
      busy = false;
      error.hidden = false;
      setText(error, "The kernel has ended: the machine stands where it stood. Run its cell again.");
    }
    marks();
  });
  track.value = model.get("answer").at ?? track.last;
  if (known) known.value = model.get("answer").known ?? known.last;
  answered();
  compared();

  return async () => {
    ending.abort();
    playing = false;
    clearTimeout(timer);
    drawing.end();
    (await kernel)();
  };
}

export default { render };
