// Shows the runs of one report, or of all. The choice stays in the address, so that it can be bookmarked.
"use strict";
(() => {
  const bar = document.querySelector(".bar");
  if (!bar) return;
  const buttons = [...bar.querySelectorAll("button")];
  const runs = [...document.querySelectorAll("li[data-report], tr[data-report]")];
  const earlier = document.querySelector(".earlier");

  function show(report) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.report === report));
    for (const run of runs) run.hidden = report !== "" && run.dataset.report !== report;
    if (earlier) earlier.hidden = !earlier.querySelector("tbody tr:not([hidden])");
  }

  function chosen() {
    let report = "";
    try {
      report = decodeURIComponent(location.hash.slice(1));
    } catch {
      // an address that somebody has typed: all are shown
    }
    show(buttons.some((button) => button.dataset.report === report) ? report : "");
  }

  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) location.hash = encodeURIComponent(button.dataset.report);
  });
  addEventListener("hashchange", chosen);
  bar.hidden = false;
  chosen();
})();
