// A live picture: follows what the kernel shows, says how complete it is, and tells the kernel whether anyone looks.

const SILENCE = 20_000; // milliseconds without a word from the kernel after which that is said

function age(since) {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function render({ model, el }) {
  el.classList.add("eventlab-widget", "eventlab-live");
  const ending = new AbortController();
  ownKeys(el, ending.signal);
  const error = make("div", "error");
  error.setAttribute("role", "alert");
  const picture = make("div", "picture");
  const foot = make("div", "foot");
  const dot = make("span", "dot");
  const said = make("span", "said");
  const button = make("button", "button");
  button.type = "button";
  foot.append(dot, said, button);
  el.replaceChildren(error, picture, foot);
  const drawing = follow(model, picture);
  const id = crypto.randomUUID?.() ?? String(Math.random());
  let alive = true;
  let heard = Date.now();
  let looked = true;

  const tell = () => {
    const status = model.get("status");
    const silent = alive && status.running && looked && Date.now() - heard > SILENCE;
    const complete = `complete to position ${status.position.toLocaleString("en")} at ${status.moment}`;
    const state = !alive ? "ended" : !status.running ? "stopped" : silent ? "silent" : status.error ? "failing" : "live";
    const words = {
      ended: `The kernel has ended. The picture is ${complete}.`,
      silent: `No word from the kernel for ${age(heard)}. The picture is ${complete}.`,
      stopped: `Stopped${status.why ? ` ${status.why}` : ""} · ${complete}`,
      failing: `Not up to date · ${complete}`,
      live: `Live · ${complete} · every ${status.every}`,
    };
    el.dataset.state = state;
    setText(said, words[state]);
    setText(error, status.error ? `${status.error} — the picture is ${age(status.drawn_at)} old.` : "");
    error.hidden = !status.error;
    button.hidden = !alive;
    setText(button, status.running ? "Stop" : "Start");
    button.setAttribute("aria-label", status.running ? "Stop the live picture" : "Start the live picture");
  };

  const word = () => {
    heard = Date.now();
    tell();
  };
  model.on("change:status", word);
  button.addEventListener("click", () => post(model, { type: model.get("status").running ? "stop" : "start" }));

  let inside = false;
  const look = () => {
    const now = inside && document.visibilityState === "visible";
    if (now === looked && look.told) return;
    look.told = true;
    looked = now;
    heard = Date.now();
    if (alive) post(model, { type: "watch", view: id, visible: now });
  };
  const observer = new IntersectionObserver((entries) => {
    inside = entries.at(-1).isIntersecting;
    look();
  });
  observer.observe(el);
  const leave = () => post(model, { type: "watch", view: id, visible: false });
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", leave);
  const renewal = setInterval(() => looked && alive && post(model, { type: "watch", view: id, visible: true }), 60_000);
  const clock = setInterval(tell, 1000);
  const kernel = onKernel(model, (now) => {
    alive = now;
    word();
  });
  tell();

  return async () => {
    ending.abort();
    clearInterval(clock);
    clearInterval(renewal);
    observer.disconnect();
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("pagehide", leave);
    if (alive) leave();
    drawing.end();
    (await kernel)();
  };
}

export default { render };
