"use strict";
// Under `kdbench view`: loads the page anew once results have changed. The address stays.
(() => {
  const SECONDS = 2;
  const build = Number(document.documentElement.dataset.build);
  function show(text) {
    let line = document.getElementById("live");
    if (!line) {
      line = kdbench.el("p", { id: "live", class: "note", role: "status" });
      document.querySelector(".site-footer").prepend(line);
    }
    line.textContent = text;
  }
  async function look() {
    try {
      const state = await (await fetch("live.json")).json();
      if (state.version !== build) return location.reload();
      show(state.problem || "Live: this page refreshes itself as runs finish.");
    } catch {
      show("kdbench view has stopped; the page shows what was there last.");
    }
    setTimeout(look, SECONDS * 1000);
  }
  document.addEventListener("DOMContentLoaded", look);
})();
